"""COCO and Label Studio datasets in which something was mixed up.

Every picture has a size, a grey level and a box of its own, so that a test can verify
which picture a box was laid on. ``CHANGES`` mix up names, ids, sizes and folders.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from trainer.data.dataset import Dataset, read_photo

DEFECTIVE = (0, 1, 2, 3)  # numbers of pictures with a box
GOOD = (4,)  # listed without a box
IN_GOOD = (5,)  # in good/, not listed
LISTED = (*DEFECTIVE, *GOOD)
GREY, STEP = 40, 20


def size_of(number: int) -> tuple[int, int]:
    """Return width and height of a picture, pixels; no two have the same shape."""
    return 60 + 14 * number, 40 + 3 * number


def box_of(number: int) -> tuple[int, int, int, int]:
    """Return the box of a picture: x, y, width, height, pixels."""
    return 4 + 3 * number, 5 + 2 * number, 20 + number, 12 + number


def write_numbered(path: Path, number: int) -> None:
    """Write one picture, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size_of(number)
    pixels = np.full((height, width, 3), GREY + STEP * number, np.uint8)
    assert cv2.imwrite(str(path), pixels)


def misplaced(dataset: Dataset, *, states_sizes: bool = True) -> list[str]:
    """Return the photos of the splits whose boxes are not those of their picture.

    Args:
        states_sizes: The format states the size of a picture without boxes too. Where
            it does not, another picture of its name cannot be noticed.
    """
    wrong = []
    for photo in dataset.photos:
        number = round((float(read_photo(photo).mean()) - GREY) / STEP)
        x, y, width, height = box_of(number)
        own = [[x, y, x + width, y + height]] if number in DEFECTIVE else []
        boxes = photo.boxes.tolist()
        is_named = photo.path.name.removeprefix("new-") == f"{number}.png"
        if not boxes and not is_named and not states_sizes:
            continue
        if len(boxes) != len(own) or (own and not np.allclose(boxes, own, atol=0.01)):
            wrong.append(f"{photo.path.name} is {number}: {boxes}")
    return wrong


@dataclass(slots=True)
class ShuffledExport:
    """An export that changes are made to before it is written."""

    root: Path
    files: dict[str, Any]  # name of each label file and its document
    pictures: dict[int, Path] = field(default_factory=dict)

    def write(self) -> None:
        """Write the label files."""
        for name, document in self.files.items():
            (self.root / name).write_text(json.dumps(document), "utf-8")

    def one(self, number: int) -> dict[str, Any]:
        """Return the image or task of a picture in the first file."""
        document = next(iter(self.files.values()))
        entries = document["images"] if isinstance(document, dict) else document
        return entries[number % len(entries)]

    def move(self, number: int, target: str) -> None:
        """Move a picture, unless another file is there."""
        path = self.root / target
        if not path.exists() and self.pictures[number].exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.pictures[number].rename(path)
            self.pictures[number] = path


Change = Callable[[ShuffledExport, int], object]


def _pictures(root: Path, folder: str) -> dict[int, Path]:
    for number in IN_GOOD:
        write_numbered(root / "good" / f"{number}.png", number)
    pictures = {number: root / folder / f"{number}.png" for number in LISTED}
    for number, path in pictures.items():
        write_numbered(path, number)
    return pictures


def coco_document(numbers: tuple[int, ...] = LISTED) -> dict[str, Any]:
    """Return a COCO file of some pictures, its ids from 1."""
    images, annotations = [], []
    for key, number in enumerate(numbers, 1):
        width, height = size_of(number)
        name = f"{number}.png"
        images.append({"id": key, "file_name": name, "width": width, "height": height})
        if number in DEFECTIVE:
            box = list(box_of(number))
            entry = {"id": len(annotations) + 1, "image_id": key, "category_id": 1}
            annotations.append({**entry, "bbox": box})
    categories = [{"id": 1, "name": "dot"}, {"id": 2, "name": "bar"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_shuffled_coco(root: Path) -> ShuffledExport:
    """Write the pictures of a COCO dataset; its file is not written yet."""
    return ShuffledExport(
        root, {"all.json": coco_document()}, _pictures(root, "images")
    )


def studio_task(key: int, number: int) -> dict[str, Any]:
    """Return one task of Label Studio."""
    width, height = size_of(number)
    x, y, wide, high = box_of(number)
    region = {
        "id": f"r{number}",
        "type": "rectanglelabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "x": 100 * x / width,
            "y": 100 * y / height,
            "width": 100 * wide / width,
            "height": 100 * high / height,
            "rotation": 0,
            "rectanglelabels": ["dot"],
        },
    }
    result = [region] if number in DEFECTIVE else []
    annotation = {"id": key, "result": result, "was_cancelled": False}
    image = f"/data/upload/7/{number:08x}-{number}.png"
    return {"id": key, "annotations": [annotation], "data": {"image": image}}


def write_shuffled_studio(root: Path) -> ShuffledExport:
    """Write the pictures of a Label Studio project; its file is not written yet."""
    tasks = [studio_task(key, number) for key, number in enumerate(LISTED, 1)]
    return ShuffledExport(root, {"project.json": tasks}, _pictures(root, "images"))


def _into_good(export: ShuffledExport, number: int) -> None:
    """Move a picture into good/; without a finished label it would be good there."""
    if export.one(number).get("annotations") != []:
        export.move(number, f"good/{number}.png")


def _delete(export: ShuffledExport, number: int) -> None:
    export.pictures[number].unlink(missing_ok=True)


def _replace_by_namesake(folder: str) -> Change:
    """Return what deletes a picture and puts another one of its name elsewhere."""

    def replace(export: ShuffledExport, number: int) -> None:
        name = export.pictures[number].name
        _delete(export, number)
        write_numbered(export.root / folder / name, (number + 1) % len(LISTED))

    return replace


def _swap_pictures(export: ShuffledExport, number: int) -> None:
    one, other = (export.pictures[n % len(LISTED)] for n in (number, number + 1))
    if one.exists() and other.exists():
        between = export.root / "between"
        one.rename(between)
        other.rename(one)
        between.rename(other)


def _copy(folder: str) -> Change:
    def copy(export: ShuffledExport, number: int) -> None:
        path = export.pictures[number]
        (export.root / folder).mkdir(exist_ok=True)
        if path.exists() and not (export.root / folder / path.name).exists():
            shutil.copyfile(path, export.root / folder / path.name)

    return copy


def _rename(name: Callable[[str], str]) -> Change:
    """Return what changes the name of a picture in the label file."""

    def rename(export: ShuffledExport, number: int) -> None:
        entry = export.one(number)
        if "data" in entry:
            entry["data"]["image"] = name(entry["data"]["image"])
        else:
            entry["file_name"] = name(entry["file_name"])

    return rename


def _last(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


# Files on disk.
MOVES: dict[str, Change] = {
    "picture deleted": _delete,
    "picture moved to the root": lambda e, n: e.move(n, f"{n}.png"),
    "picture moved into a folder": lambda e, n: e.move(n, f"images/lot/{n}.png"),
    "picture moved into good": _into_good,
    "picture renamed": lambda e, n: e.move(n, f"images/new-{n}.png"),
    "picture named as the next": lambda e, n: e.move(n, f"images/{n + 1}.png"),
    "two pictures swapped": _swap_pictures,
    "picture copied to the root": _copy("."),
    "namesake in good": _replace_by_namesake("good"),
    "namesake in another folder": _replace_by_namesake("trash"),
    "namesake at the root": _replace_by_namesake("."),
}
# Names in the label file.
NAMES: dict[str, Change] = {
    "name below images": _rename(lambda n: f"images/{_last(n)}"),
    "name in a folder": _rename(lambda n: f"lot1/{_last(n)}"),
    "name of Windows": _rename(lambda n: f"C:\\lot\\{_last(n)}"),
    "name of a URL": _rename(lambda n: f"https://host/lot/{_last(n)}"),
    "name in good": _rename(lambda n: f"good/{_last(n)}"),
    "name of another picture": _rename(lambda n: n.replace("1.png", "2.png")),
    "name in upper case": _rename(str.upper),
}


def _document(export: ShuffledExport) -> dict[str, Any]:
    document = next(iter(export.files.values()))
    assert isinstance(document, dict)
    return document


def _apply(entry: dict[str, Any], key: str, value: Callable[[Any], object]) -> None:
    """Change a number; what an earlier change made of it stays."""
    if type(entry.get(key)) is int:
        entry[key] = value(entry[key])


def _set(list_name: str, key: str, value: Callable[[Any], object]) -> Change:
    """Return what changes one value of an entry of a COCO list."""

    def change(export: ShuffledExport, number: int) -> None:
        entries = _document(export)[list_name]
        _apply(entries[number % len(entries)], key, value)

    return change


def _set_all(list_name: str, key: str, value: Callable[[Any], object]) -> Change:
    def change(export: ShuffledExport, number: int) -> None:
        for entry in _document(export)[list_name]:
            _apply(entry, key, value)

    return change


def _join(export: ShuffledExport, number: int) -> None:
    """Join two exports into one file: the ids of the second start at 1 again."""
    first, second = coco_document((0, 1, 4)), coco_document((2, 3))
    for key in ("images", "annotations"):
        _document(export)[key] = first[key] + second[key]


def _swap_sides(export: ShuffledExport, number: int) -> None:
    image = export.one(number)
    image["width"], image["height"] = image["height"], image["width"]


def _list_again(*, with_boxes: bool) -> Change:
    """Return what lists a picture once more, under another id."""

    def again(export: ShuffledExport, number: int) -> None:
        document = _document(export)
        image = document["images"][number % len(document["images"])]
        document["images"].append({**image, "id": 90 + number})
        boxes = [a for a in document["annotations"] if a["image_id"] == image["id"]]
        if with_boxes:
            document["annotations"] += [{**a, "image_id": 90 + number} for a in boxes]

    return again


def _second_file(name: str, *numbers: int) -> Change:
    def second(export: ShuffledExport, number: int) -> None:
        document = coco_document(numbers or LISTED)
        if number % 2:
            document["annotations"] = document["annotations"][:-1]
        export.files[name] = document

    return second


COCO_CHANGES: dict[str, Change] = {
    **MOVES,
    **NAMES,
    "image id of another image": _set("images", "id", lambda i: i % 5 + 1),
    "image id as text": _set("images", "id", str),
    "image ids as texts": _set_all("images", "id", str),
    "image ids as floats": _set_all("images", "id", float),
    "image id true": _set("images", "id", lambda _: True),
    "image_id as text": _set("annotations", "image_id", str),
    "image_id as float": _set("annotations", "image_id", float),
    "image_id of no image": _set("annotations", "image_id", lambda _: 77),
    "image_ids one higher": _set_all("annotations", "image_id", lambda i: i + 100),
    "annotation ids all 1": _set_all("annotations", "id", lambda _: 1),
    "category id of another": _set("categories", "id", lambda i: 3 - i),
    "category name of another": lambda e, _: [
        category.update(name="dot") for category in _document(e)["categories"]
    ],
    "two exports joined": _join,
    "width as text": _set("images", "width", str),
    "width as float": _set("images", "width", float),
    "sides swapped": _swap_sides,
    "listed again with its boxes": _list_again(with_boxes=True),
    "listed again without boxes": _list_again(with_boxes=False),
    "the same file for train": _second_file("train.json"),
    "the same file again": _second_file("instances_all.json"),
    "a file of some pictures": _second_file("val.json", 3, 2),
}


def _join_tasks(export: ShuffledExport, number: int) -> None:
    """Add a task of another project with the same number and file name."""
    tasks = next(iter(export.files.values()))
    other = studio_task(tasks[number % len(tasks)]["id"], (number + 1) % len(LISTED))
    prefix = "0a1b2c3d"
    other["data"]["image"] = f"/data/upload/9/{prefix}-{number % len(LISTED)}.png"
    tasks.append(other)


def _annotation(export: ShuffledExport, number: int) -> dict[str, Any]:
    """Return the first annotation of a task; one that is not in it if there is none."""
    return next(iter(export.one(number)["annotations"]), {})


def _region_size(value: Callable[[int], object]) -> Change:
    def change(export: ShuffledExport, number: int) -> None:
        result = _annotation(export, number).get("result")
        for region in result if isinstance(result, list) else []:
            _apply(region, "original_width", value)

    return change


def _repeat_task(*, with_boxes: bool) -> Change:
    def again(export: ShuffledExport, number: int) -> None:
        tasks = next(iter(export.files.values()))
        task = json.loads(json.dumps(export.one(number))) | {"id": 90 + number}
        for annotation in task["annotations"] if not with_boxes else []:
            annotation["result"] = []
        tasks.append(task)

    return again


def _second_annotation(export: ShuffledExport, number: int) -> None:
    later = {"id": 99, "result": [], "was_cancelled": False, "updated_at": "2030"}
    export.one(number)["annotations"].append(later)


def _second_project(export: ShuffledExport, number: int) -> None:
    tasks = [studio_task(key, n) for key, n in enumerate(LISTED, 1)]
    if number % 2:
        tasks[0]["annotations"][0]["result"] = []
    export.files["project-2.json"] = tasks


def _only_predictions(export: ShuffledExport, number: int) -> None:
    """Make predictions of the annotations of a picture, in every task of it."""
    picture = export.one(number)["data"]
    if export.pictures[number].parent.name == "good":
        return
    for tasks in export.files.values():
        for task in tasks:
            if task["data"] == picture:
                task.update(predictions=task["annotations"], annotations=[])


STUDIO_CHANGES: dict[str, Change] = {
    **MOVES,
    **NAMES,
    "task number of another": lambda e, n: e.one(n).update(id=e.one(n + 1)["id"]),
    "two projects joined": _join_tasks,
    "size as text": _region_size(str),
    "size of another picture": _region_size(lambda side: side + 14),
    "task again with its boxes": _repeat_task(with_boxes=True),
    "task again without boxes": _repeat_task(with_boxes=False),
    "somebody saw no defect": _second_annotation,
    "the same project again": _second_project,
    "no result": lambda e, n: _annotation(e, n).pop("result", None),
    "result of another type": lambda e, n: _annotation(e, n).update(result="[]"),
    "skipped": lambda e, n: _annotation(e, n).update(was_cancelled=True),
    "boxes replaced by a choice": lambda e, n: _annotation(e, n).update(
        result=[{"type": "choices", "value": {"choices": ["defect"]}}]
    ),
    "only predictions": _only_predictions,
}
