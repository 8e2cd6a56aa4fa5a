"""Label Studio: JSON and JSON-MIN, boxes in per cent of the picture.

Turned boxes, polygons and ellipses become their bounding boxes, which is said. Where
people drew differently on one picture, that is said too; whose boxes are taken stands
in ``label_studio_tasks``. A picture that nobody finished is left out: it is not known
to be good. Pictures are looked for by name, without what an upload puts before it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.boxes import Boxes, iou
from trainer.data.formats import label_studio_tasks
from trainer.data.formats.files import PictureFinder, plain_name
from trainer.data.formats.json_file import JsonFile
from trainer.data.formats.label_studio_tasks import Judgement, Task, read_tasks
from trainer.data.formats.rows import Annotations, Finding, Level, PhotoRows, Row, named
from trainer.data.formats.shapes import (
    Box,
    Outlines,
    bounding_box,
    ellipse_box,
    number,
    turned,
)

SPLIT = "all"  # Label Studio has none
DRAWN = frozenset({"x", "points", "rle", "sequence", "vertices"})
SAME_IOU = 0.5  # two people mean the same defect: as COCO matches boxes
WHOLE = 100.0  # per cent


def is_label_studio(file: JsonFile) -> bool:
    """Return whether a file is one of Label Studio's exports.

    Args:
        file: As it was read.
    """
    return label_studio_tasks.is_label_studio(file.content)


def read(files: Sequence[JsonFile], finder: PictureFinder) -> Annotations:
    """Return what Label Studio's files say.

    Args:
        files: Those that ``is_label_studio`` takes.
        finder: Of the dataset's pictures.
    """
    annotations = Annotations()
    photos = annotations.splits.setdefault(SPLIT, [])
    for file in files:
        outlines, open_tasks = Outlines(file.path), []
        for task in read_tasks(file.content if isinstance(file.content, list) else []):
            if isinstance(task, str):
                _tell(annotations, file.path, task, "is no task.", "Export again.")
                continue
            chosen = task.chosen()
            if chosen is None:
                open_tasks.append(task.number)
                continue
            if len(task.pictures) != 1:
                why = f"shows {len(task.pictures)} pictures, expected one."
                fix = "Label one picture a task, and export again."
                _tell(annotations, file.path, f"task {task.number}", why, fix)
                continue
            photo = _photo(annotations, file.path, finder, task, chosen, outlines)
            photos.append(photo)
        annotations.findings += outlines.findings()
        annotations.findings += _unfinished(file.path, open_tasks)
    names = {row.label for photo in photos for row in photo.rows}
    annotations.add_labels(sorted(names))  # the export has no order of its own
    return annotations


def _unfinished(path: Path, tasks: Sequence[str]) -> list[Finding]:
    """Say so when nobody finished some pictures."""
    if not tasks:
        return []
    why = (
        f"{len(tasks)} tasks have no finished annotation: their pictures are left out."
    )
    fix = "Submit them in Label Studio, without a box where the part is good."
    return [Finding(Level.WARNING, path, f"tasks {named(tasks)}", why, fix)]


def _tell(annotations: Annotations, path: Path, place: str, why: str, fix: str) -> None:
    """Add an error."""
    annotations.findings.append(Finding(Level.ERROR, path, place, why, fix))


def _photo(
    annotations: Annotations,
    path: Path,
    finder: PictureFinder,
    task: Task,
    chosen: Judgement,
    outlines: Outlines,
) -> PhotoRows:
    """Return the photo of a task with the boxes of one annotation."""
    [name] = task.pictures
    picture = (
        finder.find(name, path.parent)
        or finder.find(label_studio_tasks.without_prefix(name), path.parent)
        or finder.find_stem(Path(plain_name(name)))
    )
    photo = PhotoRows(picture or path.parent / plain_name(name), path)
    read = Annotations()
    photo.rows += _rows(read, path, task, chosen, outlines)
    annotations.findings += [replace(f, photo=photo.path) for f in read.findings]
    photo.said_size_px = next(
        (s for region in chosen.regions if (s := _size_px(region))), None
    )
    for other in task.judgements:
        if other is chosen:
            continue
        rows = _rows(Annotations(), path, task, other, Outlines(path))
        if _differ(photo.rows, rows):
            why = (
                f"annotations {chosen.number} and {other.number} differ "
                f"({len(photo.rows)} and {len(rows)} boxes); {chosen.number} is taken."
            )
            fix = "Agree on one, and mark it as ground truth."
            annotations.findings.append(
                Finding(Level.WARNING, path, f"task {task.number}", why, fix)
            )
    return photo


def _differ(mine: Sequence[Row], others: Sequence[Row]) -> bool:
    """Return whether two people did not draw the same boxes."""
    if sorted(row.label for row in mine) != sorted(row.label for row in others):
        return True
    return any(
        iou(_boxes(mine, label), _boxes(others, label)).max(axis=axis).min() < SAME_IOU
        for label in {row.label for row in mine}
        for axis in (0, 1)
    )


def _boxes(rows: Sequence[Row], label: str) -> Boxes:
    """Return the boxes of a class, ``[N, 4]``, shares of the picture."""
    boxes = np.array([row.box for row in rows if row.label == label])
    return boxes.clip(-1, 2).astype(np.float32)  # far outside is as good as beside


def _size_px(region: dict[str, Any]) -> tuple[int, int] | None:
    """Return the size of the picture that a region was drawn on."""
    width = number(region.get("original_width"))
    height = number(region.get("original_height"))
    return (
        (int(width), int(height)) if width and height and width > 0 < height else None
    )


def _rows(
    annotations: Annotations,
    path: Path,
    task: Task,
    judgement: Judgement,
    outlines: Outlines,
) -> list[Row]:
    """Return the boxes of an annotation, and a finding for each that is none."""
    rows = []
    labelled = {_identity(region) for region in judgement.regions if _labels(region)}
    for region in judgement.regions:
        place = f"task {task.number}, annotation {judgement.number}"
        place += f", region {region['id']}" if isinstance(region.get("id"), str) else ""
        value = region.get("value", region)
        if not isinstance(value, dict) or not DRAWN & value.keys():
            continue
        labels = _labels(region)
        if not labels and _identity(region) in labelled:
            continue  # the same region again, with what else was said of it
        box = _box(value, _size_px(region), outlines, place)
        if region.get("image_rotation"):
            why = "the picture was turned while it was labelled."
        elif len(labels) != 1:
            why = f"a region of {len(labels)} classes, expected one."
        elif box is None:
            why = "a region that has no box that could be read."
        else:
            rows.append(Row(labels[0], box, normalized=True, place=place))
            continue
        _tell(annotations, path, place, why, "Draw it anew as a box, with its class.")
    return rows


def _identity(region: dict[str, Any]) -> str:
    """Return what is the same for all that was said of one region."""
    if "id" in region:
        return repr(region["id"])
    return repr([region.get(name) for name in ("x", "y", "width", "height", "points")])


def _labels(region: dict[str, Any]) -> list[str]:
    """Return the classes of a region: the list whose name ends so."""
    value = region.get("value", region)
    if not isinstance(value, dict):
        return []
    return [
        label
        for name, labels in value.items()
        if name.endswith("labels") and isinstance(labels, list)
        for label in labels
        if isinstance(label, str) and label
    ]


def _box(
    value: dict[str, Any],
    size_px: tuple[int, int] | None,
    outlines: Outlines,
    place: str,
) -> Box | None:
    """Return the bounding box of a region as shares; None where it has none."""
    degrees = number(value.get("rotation", 0)) or 0.0
    if degrees and size_px is None:
        return None  # turned in pixels: shares alone do not tell the box
    scale_x, scale_y = ((size or 1) / WHOLE for size in size_px or (1, 1))
    if isinstance(value.get("points"), list):
        points = _points(value["points"])
        outlines.add("polygon", place)
        return (
            bounding_box((x / WHOLE, y / WHOLE) for x, y in points) if points else None
        )
    kind = "ellipse" if "radiusX" in value else "turned box"
    sides = ("radiusX", "radiusY") if kind == "ellipse" else ("width", "height")
    read = [number(value.get(name)) for name in ("x", "y", *sides)]
    known = [one for one in read if one is not None]
    if len(known) != 4:
        return None
    x, y, width, height = (
        one * scale for one, scale in zip(known, (scale_x, scale_y) * 2, strict=True)
    )
    if kind == "ellipse":
        box = ellipse_box((x, y), (width, height), degrees)
    else:
        box = turned((x, y, x + width, y + height), degrees, about=(x, y))
    if kind == "ellipse" or degrees:
        outlines.add(kind, place)
    scale_x, scale_y = scale_x * WHOLE, scale_y * WHOLE
    return box[0] / scale_x, box[1] / scale_y, box[2] / scale_x, box[3] / scale_y


def _points(values: list[object]) -> list[tuple[float, float]] | None:
    """Return pairs of numbers; None where one is none."""
    points = []
    for pair in values:
        read = [number(one) for one in pair] if isinstance(pair, list) else []
        if len(read) != 2 or read[0] is None or read[1] is None:
            return None
        points.append((read[0], read[1]))
    return points
