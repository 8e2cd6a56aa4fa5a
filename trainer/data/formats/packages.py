"""Model packages in a photo folder: their golden frames are not photos of parts.

A package that was packed into the data set, or copied there, holds golden frames as
PNG. They have no labels, so they would be read as good parts, defects included.
"""

from collections.abc import Collection
from pathlib import Path

from models.files import read_start
from models.manifest import MANIFEST_NAME
from trainer.data.findings import Finding, FindingKind, Level

LARGEST_BYTES = 4 << 20  # of a manifest or golden set that is searched
EXPECTED_NAME = "expected.json"  # beside golden frames
# Searched as text, two of each: a damaged file is recognized too.
MANIFEST_KEYS = (b'"variants"', b'"thresholds"', b'"golden"')
GOLDEN_KEYS = (b'"frames"', b'"detections"', b'"good"')


def is_package(folder: Path, names: Collection[str]) -> bool:
    """Return whether a folder is a model package, or the golden frames of one.

    Another tool's ``manifest.json`` does not count.

    Args:
        names: Names of the files in it.
    """
    return (
        MANIFEST_NAME in names and _holds_two(folder / MANIFEST_NAME, MANIFEST_KEYS)
    ) or (EXPECTED_NAME in names and _holds_two(folder / EXPECTED_NAME, GOLDEN_KEYS))


def _holds_two(path: Path, keys: Collection[bytes]) -> bool:
    try:
        content = read_start(path, LARGEST_BYTES)
    except OSError:
        return False
    return sum(key in content for key in keys) >= 2


def package_finding(folder: Path) -> Finding:
    """Return the finding of a package in a data set."""
    why = "a model package, not photos of parts: nothing in it is read."
    fix = "Move it out of the data set."
    return Finding(Level.WARNING, folder, "", why, fix, FindingKind.PACKAGE)
