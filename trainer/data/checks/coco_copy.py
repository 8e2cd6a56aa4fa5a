"""Places and label files of a COCO copy of a dataset."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from models.label_files import LabelledBox, LabelledPicture
from trainer.data.checks.boxes import corners
from trainer.data.dataset import Photo
from trainer.data.formats.files import BAD_FOLDER, GOOD_FOLDER, VERDICT_FOLDERS
from trainer.data.formats.rows import split_name
from trainer.data.paths import UnusableNameError, file_below

IMAGES_FOLDER = "images"


def copy_photo(photo: Photo, folder: Path, name: str) -> None:
    """Copy a photo byte for byte.

    Args:
        name: Path below the folder, with ``/``.

    Raises:
        OSError: It cannot be read or written.
    """
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(photo.path, target)


def labelled_picture(name: str, photo: Photo, labels: Sequence[str]) -> LabelledPicture:
    """Return a photo for the label file of a copy.

    Args:
        name: Path of the photo below the folder of the copy.
    """
    boxes = zip(photo.labels, photo.boxes, strict=True)
    labelled = tuple(LabelledBox(labels[label], corners(box)) for label, box in boxes)
    return LabelledPicture(name, photo.width_px, photo.height_px, labelled)


def split_file(folder: Path, split: str, number: int) -> Path:
    """Return the JSON file of a split; a CVAT subset may have any text as its name."""
    try:
        path = file_below(folder, folder, f"{split}.json")
    except UnusableNameError:
        path = folder
    is_name = path.parent == folder and split_name(path.stem) == split
    return path if is_name else folder / f"split-{number}.json"


def free_name(root: Path, photo: Photo, taken: set[str]) -> str:
    """Return a photo's path in the copy, that of the original where it is free.

    Args:
        root: Folder of the original.
        taken: Paths in use, in lower case; the result is added.
    """
    inside = photo.path.is_relative_to(root)
    place = photo.path.relative_to(root) if inside else Path(photo.path.name)
    first, *others = place.parts
    folder = IMAGES_FOLDER
    if photo.is_bad or (first == GOOD_FOLDER and photo.is_good and others):
        folder = BAD_FOLDER if photo.is_bad else GOOD_FOLDER
    known = {IMAGES_FOLDER, *VERDICT_FOLDERS}
    wanted = Path(folder) / (Path(*others) if first in known and others else place)
    name, number = wanted.as_posix(), 1
    while name.casefold() in taken:  # two splits may have the same names
        number += 1
        name = wanted.with_stem(f"{wanted.stem}-{number}").as_posix()
    taken.add(name.casefold())
    return name
