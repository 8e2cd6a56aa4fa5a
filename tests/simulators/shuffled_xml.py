"""Pascal VOC and CVAT datasets in which something was mixed up.

Every picture has a size, a grey level and a box of its own, so that a test can verify
which picture a box was laid on. Changes mix up names, ids, sizes, places and files.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from trainer.data.dataset import Dataset, read_photo

DEFECTIVE = (0, 1, 2, 3)  # numbers of the pictures with a box
GOOD = (4,)  # with a record, without a box
LISTED = (*DEFECTIVE, *GOOD)
IN_GOOD = 5  # in good/, without a record
STRANGER = 6  # another picture that takes the place of one
GREY, STEP = 40, 20
Box = tuple[int, int, int, int]


def size_of(number: int) -> tuple[int, int]:
    """Return width and height of a picture, pixels; no two have the same shape."""
    return 60 + 14 * number, 40 + 3 * number


def box_of(number: int) -> Box:
    """Return the box of a picture, xyxy, pixels."""
    x, y = 4 + 3 * number, 5 + 2 * number
    return x, y, x + 20 + number, y + 12 + number


def name_of(number: int) -> str:
    """Return the name of a picture."""
    return f"part-{number}.png"


def write_numbered(path: Path, number: int) -> None:
    """Write one picture, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size_of(number)
    pixels = np.full((height, width, 3), GREY + STEP * number, np.uint8)
    assert cv2.imwrite(str(path), pixels)


def misplaced(dataset: Dataset) -> list[str]:
    """Return the photos of the splits whose boxes are not those of their picture."""
    wrong = []
    for photo in dataset.photos:
        number = round((float(read_photo(photo).mean()) - GREY) / STEP)
        own = [list(box_of(number))] if number in DEFECTIVE else []
        boxes = photo.boxes.tolist()
        if boxes != own:
            wrong.append(f"{photo.path} is {number}: {boxes}")
    return wrong


@dataclass(frozen=True)
class Record:
    """What a label file has on one picture; texts as they are written."""

    number: int  # of the picture whose box it has
    file: str  # VOC: the XML; CVAT: the file that lists it
    name: str
    width: str
    height: str
    folder: str = ""  # VOC
    path: str = ""  # VOC
    key: str = ""  # CVAT: the id
    subset: str | None = None  # CVAT

    @property
    def box(self) -> Box | None:
        """The box that is drawn, if there is one."""
        return box_of(self.number) if self.number in DEFECTIVE else None


@dataclass
class Export:
    """Pictures on disk, and records that are written after the changes."""

    root: Path
    records: list[Record]
    pictures: dict[int, Path] = field(default_factory=dict)

    def change(self, number: int, **values: str) -> None:
        """Change the values of one record."""
        at = number % len(self.records)
        self.records[at] = replace(self.records[at], **values)

    def move(self, number: int, target: str) -> None:
        """Move a picture unless another file is there."""
        path = self.root / target
        if self.pictures[number].exists() and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.pictures[number].rename(path)
            self.pictures[number] = path


def new_export(root: Path, folder: str, records: list[Record]) -> Export:
    """Return an export whose pictures are on disk."""
    export = Export(root, records)
    for number in LISTED:
        export.pictures[number] = root / folder / name_of(number)
        write_numbered(export.pictures[number], number)
    write_numbered(root / "good" / name_of(IN_GOOD), IN_GOOD)
    return export


def voc_export(root: Path) -> Export:
    """Return Pascal VOC with one folder of pictures."""
    records = [
        Record(
            number,
            f"Annotations/part-{number}.xml",
            name_of(number),
            *map(str, size_of(number)),
        )
        for number in LISTED
    ]
    return new_export(root, "JPEGImages", records)


def cvat_export(root: Path) -> Export:
    """Return CVAT for images with one task."""
    records = [
        Record(
            number,
            "annotations.xml",
            name_of(number),
            *map(str, size_of(number)),
            key=str(number),
        )
        for number in LISTED
    ]
    return new_export(root, "images", records)


def write_voc_records(export: Export) -> None:
    """Write one XML for each record; the last of a name counts."""
    for record in export.records:
        box = zip(("xmin", "ymin", "xmax", "ymax"), record.box or (), strict=False)
        corners = "".join(f"<{tag}>{side}</{tag}>" for tag, side in box)
        shape = f"<object><name>dot</name><bndbox>{corners}</bndbox></object>"
        path = export.root / record.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"<annotation><folder>{record.folder}</folder>"
            f"<filename>{record.name}</filename><path>{record.path}</path>"
            f"<size><width>{record.width}</width><height>{record.height}</height>"
            f"</size>{shape if record.box else ''}</annotation>",
            "utf-8",
        )


def write_cvat_records(export: Export) -> None:
    """Write every file that records name."""
    for file in {record.file for record in export.records}:
        images = []
        for record in export.records:
            if record.file != file:
                continue
            box = zip(("xtl", "ytl", "xbr", "ybr"), record.box or (), strict=False)
            sides = " ".join(f'{name}="{side}"' for name, side in box)
            shape = f'<box label="dot" occluded="0" {sides}/>' if record.box else ""
            subset = "" if record.subset is None else f'subset="{record.subset}"'
            images.append(
                f'<image id="{record.key}" name="{record.name}" {subset} '
                f'width="{record.width}" height="{record.height}">{shape}</image>'
            )
        path = export.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<annotations>{''.join(images)}</annotations>", "utf-8")


Change = Callable[[Export, int], object]


def _next(number: int) -> int:
    return (number + 1) % len(LISTED)


def _swap_pictures(export: Export, number: int) -> None:
    one, other = export.pictures[number], export.pictures[_next(number)]
    if one.exists() and other.exists():
        between = export.root / "between"
        one.rename(between)
        other.rename(one)
        between.rename(other)


def _swap(*names: str) -> Change:
    """Return what exchanges values of a record and the next one."""

    def swap(export: Export, number: int) -> None:
        one, other = (
            export.records[n % len(export.records)] for n in (number, number + 1)
        )
        export.change(number, **{name: getattr(other, name) for name in names})
        export.change(number + 1, **{name: getattr(one, name) for name in names})

    return swap


def _rotate(*names: str) -> Change:
    """Return what gives every record the values of the next one."""

    def rotate(export: Export, _: int) -> None:
        values = [{name: getattr(r, name) for name in names} for r in export.records]
        for number, new in enumerate([*values[1:], values[0]]):
            export.change(number, **new)

    return rotate


def _text(name: str, change: Callable[[str], str]) -> Change:
    """Return what changes a value of one record."""

    def one(export: Export, number: int) -> None:
        record = export.records[number % len(export.records)]
        export.change(number, **{name: change(getattr(record, name))})

    return one


def _all(change: Change) -> Change:
    """Return what makes a change to every record."""

    def every(export: Export, _: int) -> None:
        for number in range(len(export.records)):
            change(export, number)

    return every


def _stranger(folder: str) -> Change:
    """Return what deletes a picture and puts another one of its name elsewhere."""

    def put(export: Export, number: int) -> None:
        name = export.pictures[number].name
        export.pictures[number].unlink(missing_ok=True)
        write_numbered(export.root / folder / name, STRANGER)

    return put


def _last(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


MOVES: dict[str, Change] = {
    "picture deleted": lambda e, n: e.pictures[n].unlink(missing_ok=True),
    "picture moved to the root": lambda e, n: e.move(n, name_of(n)),
    "picture moved into a folder": lambda e, n: e.move(n, f"lot/{name_of(n)}"),
    "picture moved into good": lambda e, n: e.move(n, f"good/{name_of(n)}"),
    "picture renamed": lambda e, n: e.move(n, f"{e.pictures[n].parent.name}/new.png"),
    "two pictures swapped": _swap_pictures,
    "namesake in good": _stranger("good"),
    "namesake in another folder": _stranger("trash"),
    "namesake at the root": _stranger("."),
}
RECORDS: dict[str, Change] = {
    "names swapped": _swap("name"),
    "all names one further": _rotate("name"),
    "sizes swapped": _swap("width", "height"),
    "sides swapped": lambda e, n: e.change(
        n, width=e.records[n].height, height=e.records[n].width
    ),
    "width with a point": _all(_text("width", lambda text: f"{float(text or 0):.1f}")),
    "name of Windows": _text("name", lambda text: f"C:\\photos\\{_last(text)}"),
    "name in a folder": _text("name", lambda text: f"lot/{_last(text)}"),
    "all names in a folder": _all(_text("name", lambda text: f"lot/{_last(text)}")),
    "name in good": _text("name", lambda text: f"good/{_last(text)}"),
    "name out of the dataset": _text("name", lambda text: f"../../{_last(text)}"),
    "name of the next": lambda e, n: e.change(
        n, name=e.records[(n + 1) % len(e.records)].name
    ),
    "name that is nowhere": lambda e, n: e.change(n, name="elsewhere.png"),
    "no name": lambda e, n: e.change(n, name=""),
    "record again": lambda e, n: e.records.append(e.records[n]),
}
VOC_CHANGES: dict[str, Change] = {
    **MOVES,
    **RECORDS,
    "files swapped": _swap("file"),
    "all files one further": _rotate("file"),
    "file of another name": lambda e, n: e.change(n, file=f"Annotations/x{n}.xml"),
    "file named as the next": lambda e, n: e.change(n, file=e.records[_next(n)].file),
    "file beside the pictures": _text("file", lambda t: f"JPEGImages/{_last(t)}"),
    "file in another folder": _text("file", lambda t: f"labels/{_last(t)}"),
    "file in good": _text("file", lambda text: f"good/{_last(text)}"),
    "folder lot": lambda e, n: e.change(n, folder="lot"),
    "folder trash": lambda e, n: e.change(n, folder="trash"),
    "folder good": lambda e, n: e.change(n, folder="good"),
    "path of the next": lambda e, n: e.change(n, path=f"/home/me/{name_of(_next(n))}"),
    "file again under another name": lambda e, n: e.records.append(
        replace(e.records[n], file=f"Annotations/copy-{n}.xml")
    ),
}
CVAT_CHANGES: dict[str, Change] = {
    **MOVES,
    **RECORDS,
    "ids swapped": _swap("key"),
    "ids all 0": _all(lambda e, n: e.change(n, key="0")),
    "order turned": lambda e, _: e.records.reverse(),
    "subset of one": lambda e, n: e.change(n, subset="Train"),
    "subset of all": _all(lambda e, n: e.change(n, subset="Train")),
    "subset out of the dataset": lambda e, n: e.change(n, subset="../.."),
    "second file": lambda e, n: e.change(n, file="task2.xml"),
    "file in annotations": _all(lambda e, n: e.change(n, file="annotations/all.xml")),
    "same file again": lambda e, _: e.records.extend(
        [replace(record, file="again.xml") for record in e.records]
    ),
    "task of other pictures with the same names": lambda e, n: e.records.append(
        replace(e.records[n], number=_next(n), file="task2.xml")
    ),
}
