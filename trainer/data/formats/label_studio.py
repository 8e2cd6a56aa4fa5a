"""Label Studio: JSON and JSON-MIN, boxes in per cent of the picture.

Turned boxes, polygons and ellipses become their bounding boxes, which is said. Where
people drew differently on one picture, that is said too; whose boxes are taken stands
in ``label_studio_tasks``. A picture that nobody finished is left out: it is not known
to be good. Pictures are looked for by name, without what an upload puts before it.

Label Studio's two JSON exports, brought to one form: a task, its annotations.

JSON has a task with a list of annotations; JSON-MIN has one entry for each annotation,
its regions under the name of the labelling control. Of several annotations one is
taken: the one marked as ground truth, else the one changed last, else the one with the
highest id. Skipped ones never count.
Source: Label Studio documentation, "Export annotations", and label-studio-converter.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from models.boxes import Boxes, iou
from trainer.data.formats.files import SUFFIXES, PictureFinder, plain_name
from trainer.data.formats.json_file import JsonFile
from trainer.data.formats.rows import Annotations, Finding, Level, PhotoRows, Row, named
from trainer.data.formats.shapes import (
    Corners4,
    Outlines,
    bounding_box,
    ellipse_box,
    number,
    turned,
)


def is_label_studio(file: JsonFile) -> bool:
    """Return whether a file is one of Label Studio's exports.

    Args:
        file: As it was read.
    """
    content = file.content
    if not isinstance(content, list) or not content:
        return False
    first = content[0]
    return isinstance(first, dict) and (_is_task(first) or _is_entry(first))


UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # what an upload puts before the name


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one person drew on one picture.

    Attributes:
        number: Id of the annotation, as text.
        regions: The objects of the export.
        is_truth: Marked as ground truth.
        changed_at: ISO 8601, as the tool wrote it; sorts as text.
    """

    number: str
    regions: tuple[dict[str, Any], ...]
    is_truth: bool = False
    changed_at: str = ""


@dataclass(slots=True)
class Task:
    """One task: pictures and what people drew on them.

    Attributes:
        number: Id of the task, as text.
        pictures: Names, URLs resolved; more than one where a task shows several.
        judgements: Without skipped ones.
        skipped: How many were skipped.
    """

    number: str
    pictures: tuple[str, ...]
    judgements: list[Judgement] = field(default_factory=list)
    skipped: int = 0

    def chosen(self) -> Judgement | None:
        """Return the annotation that is trained on; None where nobody finished one."""
        return max(self.judgements, key=_rank, default=None)


def _rank(judgement: Judgement) -> tuple[bool, str, int, str]:
    """Return what sorts annotations: the best last."""
    number = judgement.number
    return judgement.is_truth, judgement.changed_at, len(number), number


def read_tasks(content: Sequence[object]) -> Iterator[Task | str]:
    """Return the tasks of a document; a text instead of one that is damaged.

    Args:
        content: The list of the export.
    """
    entries: dict[str, Task] = {}
    for place, entry in enumerate(content, 1):
        if isinstance(entry, dict) and _is_task(entry):
            yield _full_task(entry)
        elif isinstance(entry, dict) and _is_entry(entry):
            number = _text(entry.get("id", place))
            task = entries.setdefault(number, Task(number, _pictures(entry, None)))
            task.judgements.append(_small_judgement(entry))
        else:
            yield f"entry {place}"
    yield from entries.values()


def _is_task(entry: dict[str, Any]) -> bool:
    """Return whether an entry is one of the full export."""
    return isinstance(entry.get("data"), dict) and any(
        name in entry for name in ("annotations", "completions", "predictions")
    )


def _is_entry(entry: dict[str, Any]) -> bool:
    """Return whether an entry is one of JSON-MIN."""
    return any(name in entry for name in ("annotation_id", "annotator")) and bool(
        _pictures(entry, None)
    )


def _full_task(entry: dict[str, Any]) -> Task:
    """Return a task of the full export."""
    upload = entry.get("file_upload")
    pictures = _pictures(entry["data"], upload if isinstance(upload, str) else None)
    task = Task(_text(entry.get("id", "?")), pictures)
    judged = entry.get("annotations", entry.get("completions"))
    for annotation in judged if isinstance(judged, list) else ():
        if not isinstance(annotation, dict):
            continue
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            task.skipped += 1
            continue
        regions = annotation.get("result")
        task.judgements.append(
            Judgement(
                _text(annotation.get("id", "?")),
                _objects(regions),
                annotation.get("ground_truth") is True,
                _text(annotation.get("updated_at") or annotation.get("created_at")),
            )
        )
    return task


def _small_judgement(entry: dict[str, Any]) -> Judgement:
    """Return the annotation that an entry of JSON-MIN is."""
    lists = (value for value in entry.values() if isinstance(value, list))
    return Judgement(
        _text(entry.get("annotation_id", "?")),
        tuple(region for values in lists for region in _objects(values)),
        changed_at=_text(entry.get("updated_at") or entry.get("created_at")),
    )


def _objects(values: object) -> tuple[dict[str, Any], ...]:
    """Return the objects of a list."""
    listed = values if isinstance(values, list) else ()
    return tuple(value for value in listed if isinstance(value, dict))


def _text(value: object) -> str:
    """Return a scalar as text; empty for anything else."""
    return str(value) if isinstance(value, str | int | float) else ""


def _pictures(data: dict[str, Any], upload: str | None) -> tuple[str, ...]:
    """Return the names of a task's pictures.

    A name with the suffix of a picture counts; where none has one, what is under
    ``image`` does, as some servers give pictures without.
    """
    names = [picture_name(text) for text in _strings(data)]
    known = [name for name in names if _has_suffix(name)]
    if not known and upload and _has_suffix(upload):
        known = [upload]
    if not known and isinstance(data.get("image"), str):
        known = [picture_name(data["image"])]
    return tuple(dict.fromkeys(name for name in known if name))


def _strings(data: dict[str, Any]) -> Iterator[str]:
    """Return the texts of a task's data, also of its lists of pictures."""
    for value in data.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item
            elif isinstance(item, dict) and isinstance(item.get("url"), str):
                yield item["url"]


def _has_suffix(name: str) -> bool:
    """Return whether a name is that of a picture."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def picture_name(url: str) -> str:
    """Return the path of a picture that a URL gives.

    ``/data/local-files/?d=lot1/a.jpg`` is ``lot1/a.jpg``.

    Args:
        url: A URL, an address in a cloud's store, or a plain path.
    """
    if url.startswith("data:"):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are no address
        return url
    if inside := parse_qs(parts.query).get("d"):
        return inside[0]
    is_url = bool(parts.scheme and parts.netloc)
    return unquote(parts.path) if is_url or url.startswith("/data/") else url


def without_prefix(name: str) -> str:
    """Return the name that a picture had before it was uploaded.

    Args:
        name: Path of a picture.
    """
    return UPLOAD_PREFIX.sub("", PurePosixPath(name.replace("\\", "/")).name)


SPLIT = "all"  # Label Studio has none
DRAWN = frozenset({"x", "points", "rle", "sequence", "vertices"})
SAME_IOU = 0.5  # two people mean the same defect: as COCO matches boxes
WHOLE = 100.0  # per cent


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
        or finder.find(without_prefix(name), path.parent)
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
) -> Corners4 | None:
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
