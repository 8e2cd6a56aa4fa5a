"""Photos in the layout of the peer, and its COCO results as detections."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.detections import Detections, no_detections
from models.label_files import LabelledBox, LabelledPicture
from trainer.data.dataset import Photo
from trainer.data.formats.writers import write_coco

SPLITS = ("train", "val")


def write_photos(
    folder: Path, photos: dict[str, tuple[Photo, ...]], labels: Sequence[str]
) -> None:
    """Write ``annotations/instances_SPLIT2017.json`` and links in ``SPLIT2017/``.

    Args:
        folder: Replaced.
        photos: By split; good parts are pictures without boxes.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "annotations").mkdir(parents=True)
    for split in SPLITS:
        pictures = []
        (folder / f"{split}2017").mkdir()
        for number, photo in enumerate(photos[split], 1):
            # two folders may hold pictures of the same name
            name = f"{number:06d}{photo.path.suffix}"
            (folder / f"{split}2017" / name).symlink_to(photo.path.resolve())
            pictures.append(_picture(name, photo, labels))
        path = folder / "annotations" / f"instances_{split}2017.json"
        write_coco(path, pictures)
        _number_categories(path, labels)


def _picture(name: str, photo: Photo, labels: Sequence[str]) -> LabelledPicture:
    boxes = tuple(
        LabelledBox(labels[label], (float(x1), float(y1), float(x2), float(y2)))
        for (x1, y1, x2, y2), label in zip(photo.boxes, photo.labels, strict=True)
    )
    return LabelledPicture(name, photo.width_px, photo.height_px, boxes)


def _number_categories(path: Path, labels: Sequence[str]) -> None:
    """Give every class the same number in each split, also where it does not occur.

    The peer counts classes by the sorted numbers of a file: numbers in the order in
    which classes appear would mean other classes in val than in train.
    """
    document = json.loads(path.read_text("utf-8"))
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    for entry in document["annotations"]:
        entry["category_id"] = labels.index(names[entry["category_id"]]) + 1
    document["categories"] = [
        {"id": number, "name": name} for number, name in enumerate(labels, 1)
    ]
    path.write_text(json.dumps(document), "utf-8")


def as_detections(rows: Sequence[dict[str, Any]], photo_count: int) -> list[Detections]:
    """Return COCO results as detections, one for each photo.

    Args:
        rows: ``image_id`` and ``category_id`` as ``write_photos`` numbered them,
            ``bbox`` x, y, width, height in pixels of the photo, ``score``.
        photo_count: Photos of the split, in the order in which they were written.
    """
    by_photo: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_photo.setdefault(row["image_id"], []).append(row)
    return [_detections(by_photo.get(n + 1, [])) for n in range(photo_count)]


def _detections(rows: list[dict[str, Any]]) -> Detections:
    if not rows:
        return no_detections()
    corners = np.array([row["bbox"] for row in rows], np.float32)  # [N, 4] xywh
    corners[:, 2:] += corners[:, :2]
    scores = np.array([row["score"] for row in rows], np.float32)
    labels = np.array([row["category_id"] - 1 for row in rows], np.int64)
    return Detections(corners, scores, labels).select(
        np.argsort(-scores, kind="stable")
    )
