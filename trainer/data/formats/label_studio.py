"""Label Studio: JSON and JSON-MIN, boxes in per cent of the picture.

JSON has a task with a list of annotations; JSON-MIN has one entry for each annotation,
its regions under the name of the labelling control. Both are brought to one form: a
task and its annotations. Of several annotations of a picture one is taken: the one
marked as ground truth, else the one changed last, else the one with the highest id. A
finding reports where they differ. Skipped ones never count. A picture without a
finished annotation is left out: it is not known to be good.

Turned boxes, polygons and ellipses become their bounding boxes, with a finding.
Pictures are searched by name, without what an upload puts before it.

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
from trainer.data.findings import Corners, Finding, Level, first_names
from trainer.data.formats.files import SUFFIXES, PictureFinder
from trainer.data.formats.json_file import JsonFile
from trainer.data.formats.rows import Annotations, PhotoRows, Row
from trainer.data.formats.shapes import (
    Outlines,
    all_numbers,
    all_points,
    bounding_box,
    ellipse_box,
    number,
    stated_size,
    turned,
)

SPLIT = "all"  # Label Studio has none
PER_CENT = 100.0
UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # what an upload puts before the name
GEOMETRY = frozenset({"x", "points", "rle", "sequence", "vertices"})
SAME_IOU = 0.5  # two people mean the same defect: as COCO matches boxes


@dataclass(frozen=True, slots=True)
class StudioAnnotation:
    """The annotation of one picture by one person."""

    number: str
    regions: tuple[dict[str, Any], ...]
    is_truth: bool = False  # marked as ground truth
    changed_at: str = ""  # ISO 8601, as the tool wrote it; sorts as text

    @property
    def rank(self) -> tuple[bool, str, int, str]:
        """Sort key: of several annotations the greatest is taken."""
        return self.is_truth, self.changed_at, len(self.number), self.number


@dataclass(slots=True)
class StudioTask:
    """One task: pictures and what people drew on them."""

    number: str
    # names, URLs resolved; more than one where a task shows several
    pictures: tuple[str, ...]
    # without skipped ones
    annotations: list[StudioAnnotation] = field(default_factory=list)
    skipped: int = 0

    def chosen(self) -> StudioAnnotation | None:
        """Return the annotation that is trained on; None where none is finished."""
        return max(self.annotations, key=lambda one: one.rank, default=None)


def is_label_studio(file: JsonFile) -> bool:
    """Return whether a file is one of Label Studio's exports."""
    content = file.content
    if not isinstance(content, list) or not content:
        return False
    first = content[0]
    return isinstance(first, dict) and (_is_task(first) or _is_entry(first))


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


def read(files: Sequence[JsonFile], finder: PictureFinder) -> Annotations:
    """Return the annotations in Label Studio's files."""
    annotations = Annotations()
    photos = annotations.splits.setdefault(SPLIT, [])
    for file in files:
        reader = _FileReader(file.path, finder)
        photos += reader.photos(file.content if isinstance(file.content, list) else [])
        annotations.findings += reader.findings
    names = {row.label for photo in photos for row in photo.rows}
    annotations.add_labels(sorted(names))  # the export defines no order
    return annotations


def _tasks(content: Sequence[object]) -> Iterator[StudioTask | str]:
    """Yield the tasks of a document; the place instead of one that is damaged."""
    entries: dict[str, StudioTask] = {}
    for place, entry in enumerate(content, 1):
        if isinstance(entry, dict) and _is_task(entry):
            yield _full_task(entry)
        elif isinstance(entry, dict) and _is_entry(entry):
            number = _text(entry.get("id", place))
            new = StudioTask(number, _pictures(entry, None))
            task = entries.setdefault(number, new)
            task.annotations.append(_entry_annotation(entry))
        else:
            yield f"entry {place}"
    yield from entries.values()


def _full_task(entry: dict[str, Any]) -> StudioTask:
    upload = entry.get("file_upload")
    pictures = _pictures(entry["data"], upload if isinstance(upload, str) else None)
    task = StudioTask(_text(entry.get("id", "?")), pictures)
    drawn = entry.get("annotations", entry.get("completions"))
    for annotation in _objects(drawn):
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            task.skipped += 1
            continue
        task.annotations.append(
            StudioAnnotation(
                _text(annotation.get("id", "?")),
                _objects(annotation.get("result")),
                annotation.get("ground_truth") is True,
                _text(annotation.get("updated_at") or annotation.get("created_at")),
            )
        )
    return task


def _entry_annotation(entry: dict[str, Any]) -> StudioAnnotation:
    """Return the annotation that an entry of JSON-MIN is."""
    return StudioAnnotation(
        _text(entry.get("annotation_id", "?")),
        tuple(region for values in entry.values() for region in _objects(values)),
        changed_at=_text(entry.get("updated_at") or entry.get("created_at")),
    )


def _objects(values: object) -> tuple[dict[str, Any], ...]:
    """Return the objects of a list; empty for anything else."""
    listed = values if isinstance(values, list) else ()
    return tuple(value for value in listed if isinstance(value, dict))


def _text(value: object) -> str:
    """Return a scalar as text; empty for anything else."""
    return str(value) if isinstance(value, str | int | float) else ""


def _pictures(data: dict[str, Any], upload: str | None) -> tuple[str, ...]:
    """Return the names of a task's pictures.

    A name with the suffix of a picture counts; where there is none, the value under
    ``image`` does, because some servers give pictures without suffix.
    """
    names = [picture_name(text) for text in _strings(data)]
    known = [name for name in names if _has_suffix(name)]
    if not known and upload and _has_suffix(upload):
        known = [upload]
    if not known and isinstance(data.get("image"), str):
        known = [picture_name(data["image"])]
    return tuple(dict.fromkeys(name for name in known if name))


def _strings(data: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of a task's data, also of its lists of pictures."""
    for value in data.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item
            elif isinstance(item, dict) and isinstance(item.get("url"), str):
                yield item["url"]


def _has_suffix(name: str) -> bool:
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


def _without_prefix(name: str) -> str:
    """Return the name that a picture had before it was uploaded."""
    return UPLOAD_PREFIX.sub("", PurePosixPath(name.replace("\\", "/")).name)


class _FileReader:
    """Reads the tasks of one export."""

    def __init__(self, path: Path, finder: PictureFinder) -> None:
        self._path, self._finder = path, finder
        self._outlines = Outlines(path)
        self.findings: list[Finding] = []

    def photos(self, content: Sequence[object]) -> list[PhotoRows]:
        """Return the photos of the finished tasks in a document."""
        photos: list[PhotoRows] = []
        unfinished: list[str] = []
        for task in _tasks(content):
            if isinstance(task, str):
                self._add_error(task, "is no task.", "Export again.")
            elif (chosen := task.chosen()) is None:
                unfinished.append(task.number)
            elif len(task.pictures) != 1:
                why = f"shows {len(task.pictures)} pictures, expected one."
                fix = "Label one picture a task, and export again."
                self._add_error(f"task {task.number}", why, fix)
            else:
                photos.append(self._photo(task, chosen))
        self.findings += self._outlines.findings()
        if unfinished:
            why = (
                f"{len(unfinished)} tasks have no finished annotation: their pictures "
                "are left out."
            )
            fix = "Submit them in Label Studio, without a box where the part is good."
            place = f"tasks {first_names(unfinished)}"
            self.findings.append(Finding(Level.WARNING, self._path, place, why, fix))
        return photos

    def _add_error(self, place: str, why: str, fix: str) -> None:
        self.findings.append(Finding(Level.ERROR, self._path, place, why, fix))

    def _photo(self, task: StudioTask, chosen: StudioAnnotation) -> PhotoRows:
        """Return the photo of a task with the boxes of one annotation."""
        [name] = task.pictures
        folder, place = self._path.parent, f"task {task.number}"
        picture = (
            self._finder.find(name, folder)
            or self._finder.find(_without_prefix(name), folder)
            or self._finder.find_stem(PurePosixPath(name))
        )
        photo = self._finder.photo(picture, name, self._path, place)
        rows, faults = _rows(self._path, task, chosen, self._outlines)
        photo.rows += rows
        self.findings += [replace(fault, photo=photo.path) for fault in faults]
        sizes = (_size_px(region) for region in chosen.regions)
        photo.stated_size_px = next((size for size in sizes if size), None)
        for other in task.annotations:
            if other is chosen:
                continue
            others, _ = _rows(self._path, task, other, Outlines(self._path))
            if _differ(photo.rows, others):
                why = (
                    f"annotations {chosen.number} and {other.number} differ "
                    f"({len(photo.rows)} and {len(others)} boxes); {chosen.number} is "
                    "taken."
                )
                fix = "Agree on one, and mark it as ground truth."
                self.findings.append(
                    Finding(Level.WARNING, self._path, place, why, fix)
                )
        return photo


def _differ(mine: Sequence[Row], others: Sequence[Row]) -> bool:
    """Return whether two people drew different boxes."""
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
    # A box far outside overlaps nothing, as one just outside does; float32 holds it.
    return boxes.clip(-1, 2).astype(np.float32)


def _size_px(region: dict[str, Any]) -> tuple[int, int] | None:
    return stated_size(region.get("original_width"), region.get("original_height"))


def _rows(
    path: Path, task: StudioTask, annotation: StudioAnnotation, outlines: Outlines
) -> tuple[list[Row], list[Finding]]:
    """Return the boxes of an annotation, and a finding for each that is none."""
    rows, faults = [], []
    labelled = {_identity(region) for region in annotation.regions if _labels(region)}
    for region in annotation.regions:
        place = f"task {task.number}, annotation {annotation.number}"
        place += f", region {region['id']}" if isinstance(region.get("id"), str) else ""
        value = region.get("value", region)
        if not isinstance(value, dict) or not GEOMETRY & value.keys():
            continue
        labels = _labels(region)
        if not labels and _identity(region) in labelled:
            continue  # a second entry of the same region, with a choice or a text
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
        fix = "Draw it again as a box, with its class."
        faults.append(Finding(Level.ERROR, path, place, why, fix))
    return rows, faults


def _identity(region: dict[str, Any]) -> str:
    """Return what the entries of one region have in common."""
    if "id" in region:
        return repr(region["id"])
    return repr([region.get(name) for name in ("x", "y", "width", "height", "points")])


def _labels(region: dict[str, Any]) -> list[str]:
    """Return the classes of a region: the lists whose key ends in ``labels``."""
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
) -> Corners | None:
    """Return the bounding box of a region as shares; None where it has none."""
    degrees = number(value.get("rotation", 0)) or 0.0
    if degrees and size_px is None:
        return None  # turned in pixels: shares alone do not give the box
    scale_x, scale_y = ((size or 1) / PER_CENT for size in size_px or (1, 1))
    if isinstance(value.get("points"), list):
        pairs = value["points"]
        points = all_points(pair if isinstance(pair, list) else () for pair in pairs)
        outlines.add("polygon", place)
        shares = [(x / PER_CENT, y / PER_CENT) for x, y in points or ()]
        return bounding_box(shares) if shares else None
    kind = "ellipse" if "radiusX" in value else "turned box"
    sides = ("radiusX", "radiusY") if kind == "ellipse" else ("width", "height")
    known = all_numbers(value.get(name) for name in ("x", "y", *sides))
    if known is None:
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
    scale_x, scale_y = scale_x * PER_CENT, scale_y * PER_CENT
    return box[0] / scale_x, box[1] / scale_y, box[2] / scale_x, box[3] / scale_y
