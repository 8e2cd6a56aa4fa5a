"""COCO: one JSON a split, boxes as x, y, width, height in pixels.

``NAME.json`` at the root or in ``annotations/`` is the split NAME, and so is
``_annotations.coco.json`` in the folder NAME, as Roboflow exports it; ``valid`` is
``val``. Image paths are relative to the JSON, else to ``images/``.
Source: cocodataset.org, data format.
"""

import json
from pathlib import Path
from typing import Any

from models.errors import DatasetError
from trainer.data.formats.rows import Annotations, Finding, Level, PhotoRows, Row

FOLDERS = ("", "annotations")
SPLITS = ("train", "val", "valid", "test")
ROBOFLOW_NAME = "_annotations.coco.json"


def find_files(root: Path) -> list[Path]:
    """Return the COCO files of a folder.

    Args:
        root: Folder of the dataset.

    Returns:
        JSON files that hold ``images``, sorted by name.
    """
    candidates = [path for name in FOLDERS for path in (root / name).glob("*.json")]
    inside = [root / split / ROBOFLOW_NAME for split in SPLITS]
    candidates += [path for path in inside if path.is_file()]
    return sorted(path for path in candidates if _looks_like_coco(path))


def _looks_like_coco(path: Path) -> bool:
    """Return whether a file is COCO, or is damaged and named like a split."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return path.stem in SPLITS or path.name == ROBOFLOW_NAME
    return isinstance(document, dict) and "images" in document


def read(files: list[Path], root: Path) -> Annotations:
    """Return what COCO files say.

    Args:
        files: From ``find_files``.
        root: Folder of the dataset.

    Raises:
        DatasetError: A file is not COCO at all.
    """
    annotations = Annotations()
    for path in files:
        document = _load(path)
        categories = {c["id"]: str(c["name"]) for c in document["categories"]}
        annotations.add_labels(_used_names(document, categories))
        photos = _photos(path, root, document)
        for entry in document["annotations"]:
            _add_box(annotations, path, photos, categories, entry)
        split = _split_name(path, root)
        annotations.splits.setdefault(split, []).extend(photos.values())
    return annotations


def _split_name(path: Path, root: Path) -> str:
    """Return the split that a file describes."""
    name = path.stem
    if path.name == ROBOFLOW_NAME:
        name = path.parent.name if path.parent != root else "all"
    return "val" if name == "valid" else name


def _load(path: Path) -> dict[str, Any]:
    """Return a COCO document with its three lists."""
    try:
        document = json.loads(path.read_bytes())
        for key in ("images", "annotations", "categories"):
            if not isinstance(document.get(key), list):
                raise DatasetError(
                    f"{path}: no list named {key}.",
                    why="COCO has images, annotations and categories.",
                    fix="Export the dataset as COCO again.",
                )
        for image in document["images"]:
            hash(image["id"]), str(image["file_name"])
        for category in document["categories"]:
            hash(category["id"]), str(category["name"])
        for entry in document["annotations"]:
            hash((entry.get("image_id"), entry.get("category_id")))
    except (ValueError, AttributeError, KeyError, TypeError) as exc:
        raise DatasetError(
            f"{path}: not COCO.",
            why=f"{type(exc).__name__}: {exc}",
            fix="Export the dataset as COCO again.",
        ) from exc
    assert isinstance(document, dict)  # noqa: S101 (for the type checker)
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


def _photos(path: Path, root: Path, document: dict[str, Any]) -> dict[Any, PhotoRows]:
    """Return image id to photo, its picture found."""
    photos = {}
    for image in document["images"]:
        name = str(image["file_name"])
        near, inside = path.parent / name, root / "images" / name
        picture = inside if inside.exists() and not near.exists() else near
        said = image.get("width"), image.get("height")
        photos[image["id"]] = PhotoRows(picture, path, said_size_px=_size_px(*said))
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
    box = entry.get("bbox")
    if not fault and not _is_box(box):
        fault = f"bbox is {box!r}, expected four numbers."
    if fault or not isinstance(box, list):
        photo = photos.get(entry.get("image_id"))
        fix, at_fault = "Mend or delete the annotation.", photo.path if photo else None
        annotations.findings.append(
            Finding(Level.ERROR, path, place, fault, fix, photo=at_fault)
        )
        return
    x, y, width, height = (float(value) for value in box)
    row = Row(
        categories[entry["category_id"]],
        (x, y, x + width, y + height),
        normalized=False,
        place=place,
    )
    photos[entry["image_id"]].rows.append(row)


def _is_box(box: object) -> bool:
    """Return whether a value is a list of four numbers."""
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(value, int | float) for value in box)
    )
