"""Writes a repaired copy of a dataset; the original is only read.

The copy is COCO for every format of the original: one JSON a split, its photos in
``images/``, and good parts in ``good/`` where the original had them there. The
pictures are copied byte for byte.
"""

from dataclasses import dataclass
from pathlib import Path

from models.errors import DatasetError, TrainingError
from models.files import (
    ForeignFolderError,
    replaced_folder,
    require_free,
    write_atomically,
)
from models.label_files import LabelledPicture, coco_text
from trainer.data.checks.check import CheckReport, check_dataset
from trainer.data.checks.coco_copy import (
    copy_photo,
    free_name,
    labelled_picture,
    split_file,
)
from trainer.data.checks.repair import Repair, repaired
from trainer.data.dataset import Dataset, OnPhoto
from trainer.data.formats.files import GOOD_FOLDER
from trainer.data.formats.rows import LabelState
from trainer.data.outputs import refuse_inside
from trainer.data.splitting.split_record import SplitOptions


@dataclass(frozen=True, slots=True)
class RepairedCopy:
    """A copy on disk."""

    folder: Path
    repairs: tuple[Repair, ...]
    report: CheckReport  # the check of the copy: what is left for a person

    def as_json(self) -> dict[str, object]:
        """Return repairs and check of the copy as ``check --fix --json`` has them."""
        return {
            "repairs": [repair.as_json() for repair in self.repairs],
            "copy": self.report.as_json(),
        }


def write_repaired_copy(
    report: CheckReport, out: Path, on_photo: OnPhoto | None = None
) -> RepairedCopy:
    """Write a dataset without the faults that need no person; return it checked.

    Args:
        out: Folder to make; it is there whole or not at all.
        on_photo: Called after every photo of the copy that was read again.

    Raises:
        DatasetError: Nothing is left to copy, or a photo cannot be read any more.
        TrainingError: The folder is not empty, lies inside the original, or cannot be
            written.
    """
    refuse_inside(report.dataset.root, out, "--fix")
    dataset, repairs = repaired(report)
    if not any(dataset.splits.values()):
        raise DatasetError(
            f"{report.dataset.root}: nothing is left to copy.",
            why="No photo has labels that can be used.",
            fix="Correct the labels; `graftline check` lists what is wrong.",
        )
    try:
        with replaced_folder(out) as folder:
            photos = [photo for split in dataset.splits.values() for photo in split]
            photos += dataset.bad
            require_free(folder, sum(photo.path.stat().st_size for photo in photos))
            _write(dataset, folder)
    except ForeignFolderError as exc:
        raise TrainingError(
            f"{out}: is not empty.",
            why="A repaired copy is written into a new folder only.",
            fix="Choose another folder with --fix, or remove this one.",
        ) from exc
    except OSError as exc:
        raise TrainingError(
            f"{out}: the copy cannot be written.",
            why=f"{exc.strerror or exc}.",
            fix="Free space there, or choose another folder with --fix.",
        ) from exc
    options = SplitOptions(bit_depth=report.dataset.bit_depth)
    copy = check_dataset(out, on_photo=on_photo, split=options)
    return RepairedCopy(out, tuple(repairs), copy)


def _write(dataset: Dataset, folder: Path) -> None:
    taken: set[str] = set()
    # In no list of the copy either. Unclear ones would lose what their labels state.
    for photo in dataset.unlabelled:
        if photo.state is LabelState.UNLABELLED:
            copy_photo(photo, folder, free_name(dataset.root, photo, taken))
    for photo in dataset.bad:
        copy_photo(photo, folder, free_name(dataset.root, photo, taken))
    for number, (split, photos) in enumerate(dataset.splits.items(), 1):
        listed: list[LabelledPicture] = []
        for photo in photos:
            name = free_name(dataset.root, photo, taken)
            copy_photo(photo, folder, name)
            if not name.startswith(f"{GOOD_FOLDER}/"):
                listed.append(labelled_picture(name, photo, dataset.labels))
        path = split_file(folder, split, number)
        write_atomically(path, coco_text(listed, dataset.labels).encode())
