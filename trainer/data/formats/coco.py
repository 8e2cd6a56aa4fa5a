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
from trainer.data.findings import Corners, Finding, Level
from trainer.data.formats.files import PictureFinder
from trainer.data.formats.json_file import JsonFile
from trainer.data.formats.rows import Annotations, PhotoRows, Row, split_name
from trainer.data.formats.shapes import all_numbers, stated_size
from trainer.data.paths import shown

SPLITS = ("train", "val", "valid", "test")
ROBOFLOW_NAME = "_annotations.coco.json"


def is_coco(file: JsonFile) -> bool:
    """Return whether a file is COCO, or is damaged and named like a split."""
    if file.fault:
        return file.path.stem in SPLITS or file.path.name == ROBOFLOW_NAME
    return isinstance(file.content, dict) and "images" in file.content


def read(files: Sequence[JsonFile], finder: PictureFinder) -> Annotations:
    """Return the annotations in COCO files.

    Raises:
        DatasetError: A file is not COCO at all.
    """
    annotations = Annotations()
    for file in files:
        path, document = file.path, _checked(file)
        categories = {c["id"]: str(c["name"]) for c in document["categories"]}
        annotations.add_labels(_used_names(document, categories))
        photos = _photos(path, document, finder)
        for entry in document["annotations"]:
            _add_box(annotations, path, photos, categories, entry)
        split = _split_of(path, finder.root)
        annotations.splits.setdefault(split, []).extend(photos.values())
    return annotations


def _split_of(path: Path, root: Path) -> str:
    if path.name != ROBOFLOW_NAME:
        return split_name(path.stem)
    return split_name(path.parent.name) if path.parent != root else "all"


def _checked(file: JsonFile) -> dict[str, Any]:
    """Return a COCO document whose three lists have the keys that are used."""
    fix = "Export the dataset as COCO again."
    if file.fault:
        state = "damaged" if file.is_readable else "cannot be read"
        raise DatasetError(f"{file.path}: {state}.", why=file.fault, fix=fix)
    try:
        document = file.content
        assert isinstance(document, dict)  # noqa: S101 (is_coco checked it)
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

    Roboflow's exports start with a category that is only the others' parent.
    """
    used = {entry.get("category_id") for entry in document["annotations"]}
    parents = {c.get("supercategory") for c in document["categories"]}
    return [
        name
        for number, name in categories.items()
        if number in used or name not in parents
    ]


def _photos(
    path: Path, document: dict[str, Any], finder: PictureFinder
) -> dict[Any, PhotoRows]:
    photos = {}
    for image in document["images"]:
        name = str(image["file_name"])
        folders = (path.parent, finder.root / "images", finder.root)
        picture = finder.find(name, *folders)
        photo = finder.photo(picture, name, path, f"image {shown(image['id'])}")
        size = image.get("width"), image.get("height")
        if all(isinstance(side, int) for side in size):
            photo.stated_size_px = stated_size(*size)
        photos[image["id"]] = photo
    return photos


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
        fault = f"bbox is {shown(entry.get('bbox'))}, expected four numbers."
    if fault or box is None:
        photo = photos.get(entry.get("image_id"))
        fix, at_fault = "Fix or delete the annotation.", photo.path if photo else None
        annotations.findings.append(
            Finding(Level.ERROR, path, place, fault, fix, photo=at_fault)
        )
        return
    row = Row(categories[entry["category_id"]], box, normalized=False, place=place)
    photos[entry["image_id"]].rows.append(row)


def _corners(box: object) -> Corners | None:
    """Return the corners of a COCO box; None where it is not four numbers."""
    values = all_numbers(box) if isinstance(box, list) else None
    if values is None or len(values) != 4:
        return None
    x, y, width, height = values
    return x, y, x + width, y + height
