"""COCO: one JSON a split, boxes as x, y, width, height in pixels.

``NAME.json`` at the root or in ``annotations/`` is the split NAME, and so is
``_annotations.coco.json`` in the folder NAME, as Roboflow exports it; ``valid`` is
``val``. Image paths are relative to the JSON, else to ``images/``.
Source: cocodataset.org, data format.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.errors import DatasetError
from trainer.data.formats.files import PictureFinder, plain_name
from trainer.data.formats.json_file import JsonFile
from trainer.data.formats.rows import (
    Annotations,
    Finding,
    Level,
    PhotoRows,
    Row,
    split_name,
)
from trainer.data.formats.shapes import Corners4, number

SPLITS = ("train", "val", "valid", "test")
ROBOFLOW_NAME = "_annotations.coco.json"
SHOWN_CHARACTERS = 200  # of a faulty value


def is_coco(file: JsonFile) -> bool:
    """Return whether a file is COCO, or is damaged and named like a split.

    Args:
        file: As it was read.
    """
    if file.fault:
        return file.path.stem in SPLITS or file.path.name == ROBOFLOW_NAME
    return isinstance(file.content, dict) and "images" in file.content


def read(files: Sequence[JsonFile], root: Path, finder: PictureFinder) -> Annotations:
    """Return what COCO files say.

    Args:
        files: Those that ``is_coco`` takes.
        root: Folder of the dataset.
        finder: Of its pictures.

    Raises:
        DatasetError: A file is not COCO at all.
    """
    annotations = Annotations()
    for file in files:
        path, document = file.path, _checked(file)
        categories = {c["id"]: str(c["name"]) for c in document["categories"]}
        annotations.add_labels(_used_names(document, categories))
        photos = _photos(path, root, document, finder)
        for entry in document["annotations"]:
            _add_box(annotations, path, photos, categories, entry)
        split = _split_of(path, root)
        annotations.splits.setdefault(split, []).extend(photos.values())
    return annotations


def _split_of(path: Path, root: Path) -> str:
    """Return the split that a file describes."""
    if path.name != ROBOFLOW_NAME:
        return split_name(path.stem)
    return split_name(path.parent.name) if path.parent != root else "all"


def _checked(file: JsonFile) -> dict[str, Any]:
    """Return a COCO document with its three lists."""
    fix = "Export the dataset as COCO again."
    if file.fault:
        what = (
            f"{file.path}: {'cannot be read' if 'read' in file.fault else 'damaged'}."
        )
        raise DatasetError(what, why=file.fault, fix=fix)
    try:
        document = file.content
        assert isinstance(document, dict)  # noqa: S101 (is_coco looked)
        for key in ("images", "annotations", "categories"):
            if not isinstance(document.get(key), list):
                raise DatasetError(
                    f"{file.path}: no list named {key}.",
                    why="COCO has images, annotations and categories.",
                    fix=fix,
                )
        for image in document["images"]:
            hash(image["id"]), str(image["file_name"])
        for category in document["categories"]:
            hash(category["id"]), str(category["name"])
            hash(category.get("supercategory"))
        for entry in document["annotations"]:
            hash((entry.get("image_id"), entry.get("category_id")))
    except (ValueError, AttributeError, KeyError, TypeError) as exc:
        raise DatasetError(
            f"{file.path}: not COCO.", why=f"{type(exc).__name__}: {exc}", fix=fix
        ) from exc
    return document


def _used_names(document: dict[str, Any], categories: dict[Any, str]) -> list[str]:
    """Return class names in order, without a dummy parent that no box uses.

    Roboflow's exports begin with a category that is only the others' parent.
    """
    used = {entry.get("category_id") for entry in document["annotations"]}
    parents = {c.get("supercategory") for c in document["categories"]}
    return [
        name
        for number, name in categories.items()
        if number in used or name not in parents
    ]


def _photos(
    path: Path, root: Path, document: dict[str, Any], finder: PictureFinder
) -> dict[Any, PhotoRows]:
    """Return image id to photo, its picture found."""
    photos = {}
    for image in document["images"]:
        name = str(image["file_name"])
        picture = finder.find(name, path.parent, root / "images", root)
        said = image.get("width"), image.get("height")
        photos[image["id"]] = PhotoRows(
            picture or path.parent / plain_name(name),
            path,
            said_size_px=_size_px(*said),
        )
    return photos


def _size_px(width: object, height: object) -> tuple[int, int] | None:
    """Return the size of a photo; None where a tool left it out or wrote 0."""
    if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
        return width, height
    return None


def _add_box(
    annotations: Annotations,
    path: Path,
    photos: dict[Any, PhotoRows],
    categories: dict[Any, str],
    entry: dict[str, Any],
) -> None:
    """Add one annotation to its photo, or a finding."""
    place = f"annotation {entry.get('id', '?')}"
    fault = ""
    if entry.get("image_id") not in photos:
        fault = f"image_id {entry.get('image_id')} is not among the images."
    elif entry.get("category_id") not in categories:
        fault = f"category_id {entry.get('category_id')} is not among the categories."
    box = _corners(entry.get("bbox"))
    if not fault and box is None:
        shown = repr(entry.get("bbox"))[:SHOWN_CHARACTERS]
        fault = f"bbox is {shown}, expected four numbers."
    if fault or box is None:
        photo = photos.get(entry.get("image_id"))
        fix, at_fault = "Mend or delete the annotation.", photo.path if photo else None
        annotations.findings.append(
            Finding(Level.ERROR, path, place, fault, fix, photo=at_fault)
        )
        return
    row = Row(categories[entry["category_id"]], box, normalized=False, place=place)
    photos[entry["image_id"]].rows.append(row)


def _corners(box: object) -> Corners4 | None:
    """Return the corners of a COCO box; None where it is not four numbers."""
    values = [number(value) for value in box] if isinstance(box, list) else []
    known = [value for value in values if value is not None]
    if len(values) != 4 or len(known) != 4:
        return None
    x, y, width, height = known
    return x, y, x + width, y + height
