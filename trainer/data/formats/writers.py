"""Writes lists of labelled pictures as files, see ``models.label_files``."""

from collections.abc import Sequence
from pathlib import Path

from models.errors import DatasetError
from models.files import write_atomically
from models.label_files import (
    LabelledPicture,
    coco_text,
    cvat_text,
    label_studio_text,
    labels_of,
)
from models.shown_text import printable


def write_coco(path: Path, pictures: Sequence[LabelledPicture]) -> None:
    """Write a COCO JSON; score and note are beside each ``bbox``.

    Raises:
        DatasetError: The file cannot be written.
    """
    _write(path, coco_text(pictures, labels_of(pictures)))


def write_cvat(path: Path, pictures: Sequence[LabelledPicture]) -> None:
    """Write "CVAT for images 1.1"; score and note are attributes of each box.

    Args:
        path: ``annotations.xml`` by custom.

    Raises:
        DatasetError: The file cannot be written.
    """
    _write(path, cvat_text(pictures))


def write_label_studio(path: Path, pictures: Sequence[LabelledPicture]) -> None:
    """Write Label Studio tasks whose boxes are predictions, in per cent.

    Raises:
        DatasetError: The file cannot be written.
    """
    _write(path, label_studio_text(pictures))


def _write(path: Path, text: str) -> None:
    """Write a file, whole or not at all.

    Raises:
        DatasetError: It cannot be written.
    """
    try:
        write_atomically(path, printable(text).encode("utf-8"))
    except OSError as exc:
        raise DatasetError(
            f"{path}: cannot be written.",
            why=f"{exc.strerror}.",
            fix="Choose another place, or free disk space.",
        ) from exc
