"""The folder that a package is packed into."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.counted import agreeing, counted
from models.errors import TrainingError
from models.files import (
    ForeignFolderError,
    read_regular,
    replaced_folder,
    require_room,
)
from models.manifest import MANIFEST_MAX_BYTES, MANIFEST_NAME
from models.package import SHOWN_FILES, files_beside

PACKAGE_KEYS = {"schema_version", "thresholds", "variants", "files"}
OTHER_FOLDER = "Choose another folder with --out, or remove this one yourself."


@contextmanager
def whole_folder(out: Path, sizes: Sequence[int]) -> Iterator[Path]:
    """Yield an empty folder that replaces ``out`` when the block succeeds.

    Args:
        sizes: Files that the block will write at least, bytes.

    Raises:
        TrainingError: It cannot be written, is not a package, or holds files that are
            not part of the package.
    """
    try:
        if (out / MANIFEST_NAME).is_file():
            _refuse_other_files(out)
        with replaced_folder(out, marker=MANIFEST_NAME) as folder:
            require_room(folder, sizes)
            yield folder
    except ForeignFolderError as exc:
        raise _not_a_package(out) from exc
    except OSError as exc:
        raise TrainingError(
            f"{out}: cannot be written.",
            why=exc.strerror or str(exc),
            fix="Free space there, or choose another folder with --out.",
        ) from exc


def _refuse_other_files(out: Path) -> None:
    """Refuse to replace a folder that holds more than an earlier package.

    The package may be damaged; its manifest is only read for the names of its files.
    """
    try:
        document = json.loads(read_regular(out / MANIFEST_NAME, MANIFEST_MAX_BYTES))
        is_package = document.keys() >= PACKAGE_KEYS
        others = files_beside(out, set(document["files"]))
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as exc:
        raise _not_a_package(out) from exc
    if not is_package:
        raise _not_a_package(out)
    if others:
        raise TrainingError(
            f"{out}: holds files that are not part of the package.",
            why=f"{', '.join(others[:SHOWN_FILES])} ({counted(len(others), 'file')}) "
            "would be lost.",
            fix=f"Move {agreeing(len(others), 'it', 'them')} elsewhere, or choose "
            "another folder with --out.",
        )


def _not_a_package(out: Path) -> TrainingError:
    return TrainingError(
        f"{out}: exists and is not a package.",
        why=f"Only a folder with the {MANIFEST_NAME} of a package is replaced.",
        fix=OTHER_FOLDER,
    )
