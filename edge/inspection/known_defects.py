"""What a package knows about the defects of each label.

The manifest has the figures of the labelled boxes. A package of an earlier version has
none: there the detections that are expected on its golden frames are used.
"""

import struct
from pathlib import Path

import numpy as np

from edge.config.station import EdgeSettings
from edge.rules.coverage import KnownDefects, SilentRule, silent_rules
from models.errors import PackageError
from models.golden import read_golden_set
from models.manifest import MANIFEST_NAME, Manifest
from models.package import Package, read_manifest
from models.slot_files import SlotFolder

# PNG (ISO/IEC 15948), 11.2.2: width and height are the first fields of the header.
PNG_SIZE, PNG_SIZE_AT = struct.Struct(">II"), 16


def known_defects(package: Package) -> tuple[KnownDefects, ...]:
    """Return what a package knows, one for each of its labels.

    Raises:
        PackageError: The golden frames cannot be read.
    """
    manifest = package.manifest
    if not manifest.labelled_boxes:
        return _from_golden(package)
    return tuple(_from_manifest(manifest, label) for label in manifest.labels)


def known_in_slot(slot: SlotFolder) -> tuple[KnownDefects, ...]:
    """Return what the package in force knows; empty where none is installed.

    The package is not verified.

    Raises:
        InstallError: The slot cannot be read.
        PackageError: Manifest or golden frames cannot be read.
    """
    sha256 = slot.package_of(slot.current)
    if not sha256:
        return ()
    folder = slot.store / sha256
    return known_defects(Package(folder, read_manifest(folder / MANIFEST_NAME), sha256))


def configured_silent_rules(settings: EdgeSettings) -> list[SilentRule]:
    """Return the silent rules of all cameras, without a frame of them.

    Raises:
        InstallError: The slot cannot be read.
        PackageError: Manifest or golden frames cannot be read.
    """
    known = known_in_slot(SlotFolder(settings.model.slot))
    return [
        rule for each in settings.camera for rule in silent_rules(each.rules, known)
    ]


def _from_manifest(manifest: Manifest, label: str) -> KnownDefects:
    score_threshold = manifest.thresholds.scores[label]
    boxes = manifest.labelled_boxes.get(label)
    if boxes is None:
        return KnownDefects(label, score_threshold)
    return KnownDefects(
        label,
        score_threshold,
        count=boxes.count,
        smallest_share=boxes.smallest_share,
        largest_share=boxes.largest_share,
        largest_px=boxes.largest_px,
        photo_size_px=boxes.photo_size_px,
        centres=boxes.centres,
        highest_score=boxes.highest_score,
    )


def _from_golden(package: Package) -> tuple[KnownDefects, ...]:
    """Return the figures of the expected detections that count."""
    manifest = package.manifest
    thresholds = manifest.score_thresholds()
    folder = (package.folder / manifest.golden).parent
    # longer side in px and as a share, centre as shares, score; by label
    rows: dict[int, list[tuple[float, ...]]] = {}
    size_px = (0, 0)
    for frame in read_golden_set(package).frames:
        counting = [d for d in frame.detections if d.score >= thresholds[d.label]]
        if counting:
            size_px = _png_size_px(folder / frame.file)
        width_px, height_px = size_px
        for each in counting:
            x1, y1, x2, y2 = each.box
            side_px = max(x2 - x1, y2 - y1)
            share = side_px / max(width_px, height_px)
            centre = (x1 + x2) / 2 / width_px, (y1 + y2) / 2 / height_px
            row = (side_px, share, *centre, each.score)
            rows.setdefault(each.label, []).append(row)
    return tuple(
        _known(label, float(thresholds[index]), size_px, np.array(rows.get(index, [])))
        for index, label in enumerate(manifest.labels)
    )


def _known(
    label: str, score_threshold: float, size_px: tuple[int, int], rows: np.ndarray
) -> KnownDefects:
    """Return the figures of one label; rows are ``[N, 5]`` float64."""
    if not len(rows):
        return KnownDefects(label, score_threshold)
    low, high = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
    return KnownDefects(
        label,
        score_threshold,
        count=len(rows),
        smallest_share=low[1],
        largest_share=high[1],
        largest_px=high[0],
        photo_size_px=size_px,
        centres=(low[2], low[3], high[2], high[3]),
        highest_score=high[4],
        is_sample=True,
    )


def _png_size_px(path: Path) -> tuple[int, int]:
    """Return width and height of a golden frame; its pixels are not decoded."""
    try:
        with path.open("rb") as file:
            head = file.read(PNG_SIZE_AT + PNG_SIZE.size)
        width_px, height_px = PNG_SIZE.unpack_from(head, PNG_SIZE_AT)
    except (OSError, struct.error) as exc:
        raise PackageError(
            f"{path.name}: golden frame cannot be read.",
            why=str(exc),
            fix="Flash the package again.",
        ) from exc
    return max(1, width_px), max(1, height_px)
