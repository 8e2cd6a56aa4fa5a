"""YOLO datasets whose pictures carry their identity in the pixels.

Picture number ``n`` is uniformly grey, and its box is that of ``n`` alone: a test can
verify that every box is on its own picture, whatever happened to names and folders.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.simulators.exports import HEIGHT_PX, WIDTH_PX, write_text
from trainer.data.dataset import Dataset, read_photo

NAMES = ("A1", "Stück", "teil#3", "b 4", "c.5", "d6")
GOOD_NAMES = ("A1", "gut")  # a namesake of a photo with a defect, and another one
EMPTY = (4,)  # numbers of photos whose label file is empty
GREY, STEP = 40, 8  # grey level of picture 0, and from one to the next
FIRST_GOOD = len(NAMES)


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """Where a photo and its labels are."""

    number: int
    picture: Path
    labels: Path


def box_of(number: int) -> tuple[float, float, float, float]:
    """Return the box of a picture: xyxy, pixels."""
    x1, y1 = 2.0 + 3 * number, 4.0 + 2 * number
    return x1, y1, x1 + 8, y1 + 12


def write_identity(path: Path, number: int) -> None:
    """Write one picture, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.full((HEIGHT_PX, WIDTH_PX, 3), GREY + STEP * number, np.uint8)
    content = cv2.imencode(".png", grey)[1]  # lossless under any suffix
    path.write_bytes(content.tobytes())


def label_text(number: int) -> str:
    """Return the label file of a picture."""
    x1, y1, x2, y2 = box_of(number)
    values = (
        (x1 + x2) / 2 / WIDTH_PX,
        (y1 + y2) / 2 / HEIGHT_PX,
        (x2 - x1) / WIDTH_PX,
        (y2 - y1) / HEIGHT_PX,
    )
    return "" if number in EMPTY else f"0 {' '.join(f'{v:.8f}' for v in values)}\n"


def identity(pixels: np.ndarray) -> int:
    """Return the number of a picture."""
    return round((float(pixels.mean()) - GREY) / STEP)


def misplaced(dataset: Dataset) -> list[str]:
    """Return the photos of the splits that have not their own boxes."""
    wrong = []
    for photo in dataset.photos:
        number = identity(read_photo(photo))
        is_good = number in EMPTY or number >= FIRST_GOOD
        own = [] if is_good else [list(box_of(number))]
        if np.round(photo.boxes, 2).tolist() != own:
            wrong.append(f"{photo.path.name} is picture {number}: {photo.boxes}")
    return wrong


def _write(root: Path, folders: tuple[tuple[str, str], ...]) -> list[LabelledFile]:
    """Write the photos of ``NAMES`` in turn into folders of pictures and of labels."""
    found = []
    for number, name in enumerate(NAMES):
        pictures, labels = folders[number % len(folders)]
        picture = root / pictures / f"{name}.png"
        write_identity(picture, number)
        path = write_text(root / labels / f"{name}.txt", label_text(number))
        found.append(LabelledFile(number, picture, path))
    for number, name in enumerate(GOOD_NAMES, FIRST_GOOD):
        write_identity(root / "good" / f"{name}.png", number)
    return found


def write_folders(root: Path) -> list[LabelledFile]:
    """Write ``images/`` and ``labels/`` with ``classes.txt``."""
    write_text(root / "classes.txt", "dot\n")
    return _write(root, (("images", "labels"),))


def write_with_yaml(root: Path) -> list[LabelledFile]:
    """Write two splits named by ``data.yaml``."""
    text = "train: images/train\nval: images/val\nnc: 1\nnames: [dot]\n"
    write_text(root / "data.yaml", text)
    places = [(f"images/{split}", f"labels/{split}") for split in ("train", "val")]
    return _write(root, tuple(places))


def write_with_list(root: Path) -> list[LabelledFile]:
    """Write YOLO 1.1 with a list, the labels beside the pictures."""
    found = _write(root, (("obj_train_data", "obj_train_data"),))
    lines = [f"data/obj_train_data/{file.picture.name}\n" for file in found]
    write_text(root / "train.txt", "".join(lines))
    write_text(root / "obj.names", "dot\n")
    text = "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\n"
    write_text(root / "obj.data", text)
    return found


LAYOUTS: dict[str, Callable[[Path], list[LabelledFile]]] = {
    "folders": write_folders,
    "data.yaml": write_with_yaml,
    "list": write_with_list,
}


def move(path: Path, target: Path) -> None:
    """Rename a file, unless another file has the name."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


def _other_form(name: str) -> str:
    return unicodedata.normalize("NFD", name)


def _top(file: LabelledFile) -> Path:
    """Return the folder of the dataset."""
    place = file.picture.parent
    while not (place / "good").is_dir():
        place = place.parent
    return place


def _into_good(file: LabelledFile) -> None:
    move(file.picture, _top(file) / "good" / file.picture.name)


def _only_namesake_in_good(file: LabelledFile) -> None:
    """Delete a picture, and put another one of its name into ``good/``."""
    file.picture.unlink()
    write_identity(_top(file) / "good" / file.picture.name, FIRST_GOOD + 2)


def _namesake(suffix: str) -> Callable[[LabelledFile], None]:
    """Return what puts another picture beside one, of the same name but its suffix."""

    def put(file: LabelledFile) -> None:
        write_identity(file.picture.with_suffix(suffix), FIRST_GOOD + 3)

    return put


def _second_labels(file: LabelledFile) -> None:
    """Write a second label file that differs, named in the other case."""
    second = file.labels.with_name(f"{file.labels.stem.swapcase()}.TXT")
    write_text(second, "0 0.9 0.9 0.1 0.1\n")


def _label(change: Callable[[Path], Path]) -> Callable[[LabelledFile], None]:
    return lambda file: move(file.labels, change(file.labels))


def _picture(change: Callable[[Path], Path]) -> Callable[[LabelledFile], None]:
    return lambda file: move(file.picture, change(file.picture))


CHANGES: dict[str, Callable[[LabelledFile], None]] = {
    "label file deleted": lambda file: file.labels.unlink(),
    "label file emptied of its folder": _label(lambda p: p.parent.parent / p.name),
    "label file in good": _label(lambda p: p.parent / "good" / p.name),
    "label file in upper case": _label(lambda p: p.with_name(p.name.upper())),
    "label file in the other case": _label(lambda p: p.with_name(p.name.swapcase())),
    "label file in NFD": _label(lambda p: p.with_name(_other_form(p.name))),
    "label file with both suffixes": _label(
        lambda p: p.with_name(f"{p.stem}.png{p.suffix}")
    ),
    "label file without special letters": _label(
        lambda p: p.with_name(p.name.replace("#", "_").replace(" ", "_"))
    ),
    "label file of another name": _label(lambda p: p.with_name(f"x-{p.stem}-y.txt")),
    "picture deleted": lambda file: file.picture.unlink(),
    "picture in upper case": _picture(lambda p: p.with_name(p.name.upper())),
    "picture in NFD": _picture(lambda p: p.with_name(_other_form(p.name))),
    "picture with another suffix": _picture(lambda p: p.with_suffix(".BMP")),
    "picture of another name": _picture(lambda p: p.with_name(f"x{p.name}")),
    "picture in another folder": _picture(lambda p: p.parent / "more" / p.name),
    "picture one folder up": _picture(lambda p: p.parent.parent / p.name),
    "picture moved into good": _into_good,
    "only a namesake in good": _only_namesake_in_good,
    "namesake beside it": _namesake(".jpg"),
    "namesake of another case": _namesake(".PNG"),
    "second label file": _second_labels,
}
