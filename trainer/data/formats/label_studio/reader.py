"""Label Studio: JSON and JSON-MIN, boxes in per cent of the picture.

Of several annotations of a picture one is taken: the one marked as ground truth, else
the one changed last, else the one with the highest id. A finding reports where they
differ; where they disagree whether there is a defect at all, the photo is left out.

An annotation that was submitted with an empty result makes a good part. One that has no
region, but a choice or a text, does only where the choice means good and no photo with
regions has it: "defect" without a box is no good part. The others are unclear.

Turned boxes, polygons and ellipses become their bounding boxes, with a finding.
Pictures are searched by name, without what an upload puts before it.

Source: Label Studio documentation, "Export annotations", and label-studio-converter.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from models.boxes import Boxes, best_overlaps
from models.counted import counted
from models.errors import DatasetError
from trainer.data.findings import Corners, Finding, Level, first_names
from trainer.data.formats.files import PictureFinder, PictureName, unicode_forms
from trainer.data.formats.json_file import JsonFile, refuse_damaged
from trainer.data.formats.label_studio.tasks import (
    FIX_DISPUTED,
    StudioAnnotation,
    StudioClass,
    StudioTask,
    has_suffix,
    is_entry,
    is_task,
    read_tasks,
)
from trainer.data.formats.plain_names import with_folders_of_plain_names
from trainer.data.formats.repeated import merge_repeated
from trainer.data.formats.rows import Annotations, LabelState, PhotoRows, Row
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
from trainer.data.paths import shown

SPLIT = "all"  # Label Studio has none
PER_CENT = 100.0
UPLOAD_FOLDER = "/data/upload/"
UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # what an upload puts before the name
SAME_IOU = 0.5  # two people mean the same defect: as COCO matches boxes
# One of them is near the start of an export.
KEYS = ('"annotations"', '"completions"', '"predictions"', '"annotation_id"')
FIX_EXPORT = "Export from Label Studio again."


def is_label_studio(file: JsonFile) -> bool:
    """Return whether a file is one of Label Studio's exports, or is damaged and was."""
    if file.fault:
        is_list = file.start.lstrip().startswith("[")
        return is_list and any(key in file.start for key in KEYS)
    content = file.content
    if not isinstance(content, list) or not content:
        return False
    return any(
        isinstance(entry, dict) and (is_task(entry) or is_entry(entry))
        for entry in content
    )


def read(files: Sequence[JsonFile], finder: PictureFinder) -> Annotations:
    """Return the annotations in Label Studio's files.

    Raises:
        DatasetError: A file is damaged, or has no boxes in per cent.
    """
    refuse_damaged(files, FIX_EXPORT)
    annotations = Annotations()
    photos = annotations.splits.setdefault(SPLIT, [])
    for file in files:
        reader = _FileReader(file.path, finder)
        photos += reader.photos(file.content if isinstance(file.content, list) else [])
        annotations.findings += reader.findings
    merge_repeated(annotations)
    names = {row.label for photo in photos for row in photo.rows}
    annotations.add_labels(sorted(names))  # the export defines no order
    return annotations


def _without_prefix(name: str) -> str:
    """Return the name that a picture had before it was uploaded, folders and all."""
    path = PurePosixPath(name.replace("\\", "/"))
    return str(path.with_name(UPLOAD_PREFIX.sub("", path.name))) if path.name else name


def _without_folders(name: PictureName) -> PictureName:
    ends = (PurePosixPath(text).name for text in name.spellings)
    return replace(name, spellings=tuple(dict.fromkeys(ends)))


class _FileReader:
    """Reads the tasks of one export."""

    def __init__(self, path: Path, finder: PictureFinder) -> None:
        self._path, self._finder = path, finder
        self._outlines = Outlines(path)
        self._on_defects: set[StudioClass] = set()
        self.findings: list[Finding] = []

    def photos(self, content: Sequence[object]) -> list[PhotoRows]:
        """Return the photos of the tasks in a document.

        Raises:
            DatasetError: Its boxes are no per cents.
        """
        tasks = [task for task in read_tasks(content) if self._has_one_picture(task)]
        known = [task for task in tasks if isinstance(task, StudioTask)]
        self._on_defects = {
            one
            for task in known
            for annotation in task.annotations
            if annotation.regions
            for one in annotation.classes
        }
        photos = self._found(known)
        for task, photo in zip(known, photos, strict=True):
            self._label(task, photo)
        self._refuse_shares(photos)
        self.findings += self._outlines.findings()
        return self._those_there(photos)

    def _has_one_picture(self, task: StudioTask | str) -> bool:
        """Return whether a task can be read; a finding is added where it cannot."""
        if isinstance(task, str):
            self._add_error(task, "is no task.", "Export again.")
            return False
        if len(task.pictures) == 1:
            return True
        why = f"shows {counted(len(task.pictures), 'picture')}, expected one."
        fix = "Label one picture a task, and export again."
        self._add_error(f"task {task.number}", why, fix)
        return False

    def _add_error(
        self, place: str, why: str, fix: str, photo: PhotoRows | None = None
    ) -> None:
        at_fault = photo.path if photo else None
        self.findings.append(
            Finding(Level.ERROR, self._path, place, why, fix, photo=at_fault)
        )

    def _found(self, tasks: Sequence[StudioTask]) -> list[PhotoRows]:
        """Return the photo of each task, without boxes yet."""
        texts = [task.pictures[0] for task in tasks]
        names = [
            PictureName(
                self._spellings(text), (self._path.parent,), f"task {task.number}"
            )
            for task, text in zip(tasks, texts, strict=True)
        ]
        if all(map(self._is_on_server, names)):
            names = [_without_folders(name) for name in names]
        names = with_folders_of_plain_names(self._finder, names)
        photos = self._finder.find_all(self._path, names)
        for own, other in _uncertain(texts, photos).items():
            photo, text = photos[own], texts[own]
            photo.fault = (
                f"{shown(text)} and {shown(texts[other])} ({photos[other].place}) may "
                f"both be {photo.path.name}: Label Studio puts letters before the name "
                "of an uploaded picture."
            )
            photo.path = self._path
        return photos

    def _spellings(self, text: str) -> tuple[str, ...]:
        """Return what a picture may be named on disk."""
        if text.startswith(UPLOAD_FOLDER):
            text = text.removeprefix("/")  # of the server, not of this disk
        if has_suffix(text):
            names = [*unicode_forms(text), *unicode_forms(_without_prefix(text))]
        else:  # some servers give pictures without suffix
            picture = self._finder.find_stem(PurePosixPath(text))
            names = [picture.name] if picture else []
        return tuple(dict.fromkeys([text, *names]))

    def _is_on_server(self, name: PictureName) -> bool:
        """Return whether the folder of a name is the server's, of an upload."""
        parts = PurePosixPath(name.spellings[0]).parts
        is_upload = name.spellings[0].startswith(UPLOAD_FOLDER.removeprefix("/"))
        return is_upload and parts[-2] not in self._finder.folder_names

    def _those_there(self, photos: Sequence[PhotoRows]) -> list[PhotoRows]:
        """Return the photos without unlabelled ones whose picture was not exported."""
        lost = [
            photo
            for photo in photos
            if photo.state is not LabelState.LABELLED
            and (photo.path == self._path or not photo.path.is_file())
        ]
        if lost:
            why = f"{len(lost)} tasks are not labelled, and their pictures not here."
            place, fix = first_names(p.place for p in lost), "None needed."
            self.findings.append(Finding(Level.WARNING, self._path, place, why, fix))
        for photo in lost:
            if photo.state is LabelState.UNCLEAR and photo.fault:
                # A picture of its name may be it, and would count as another one's.
                why = f"{photo.fault} It is unclear: {photo.state_reason}."
                fix = "Correct the name, or export the labels again."
                self._add_error(photo.place, why, fix)
        gone = {id(photo) for photo in lost}
        return [photo for photo in photos if id(photo) not in gone]

    def _label(self, task: StudioTask, photo: PhotoRows) -> None:
        """Give a photo the boxes of one annotation, or the reason why it has none."""
        chosen = task.chosen()
        if chosen is None:
            photo.state, photo.state_reason = task.state, task.reason
            if task.state is LabelState.UNCLEAR:
                photo.state_fix = "Submit it in Label Studio, and export again."
            return
        is_disputed = len(task.verdicts(self._on_defects)) > 1
        if doubt := task.doubt(self._on_defects):
            photo.state = LabelState.UNCLEAR
            photo.state_reason, photo.state_fix = doubt
        rows, faults = _rows(self._path, task, chosen, self._outlines)
        if not is_disputed:
            photo.rows += rows
        self.findings += [replace(fault, photo=photo.path) for fault in faults]
        if chosen.fault:
            place = f"{photo.place}, annotation {chosen.number}"
            self._add_error(place, chosen.fault, FIX_EXPORT, photo)
        self._state_size(chosen, photo)
        outcome = (
            "the photo is left out" if is_disputed else f"{chosen.number} is taken"
        )
        for other in task.annotations:
            if other is not chosen:
                others, _ = _rows(self._path, task, other, Outlines(self._path))
                self._compare(photo, (chosen, rows), (other, others), outcome)

    def _state_size(self, chosen: StudioAnnotation, photo: PhotoRows) -> None:
        """Keep the size that the regions state; they must agree on it."""
        stated = [size for one in chosen.regions if (size := _size_px(one))]
        sizes = list(dict.fromkeys(stated))
        photo.stated_size_px = sizes[0] if sizes else None
        if len(sizes) > 1:
            shown_sizes = first_names(f"{width} x {height}" for width, height in sizes)
            why = f"its regions give several sizes: {shown_sizes}."
            fix = "Draw its boxes again, on one picture."
            self._add_error(photo.place, why, fix, photo)

    def _compare(
        self,
        photo: PhotoRows,
        chosen: tuple[StudioAnnotation, Sequence[Row]],
        other: tuple[StudioAnnotation, Sequence[Row]],
        outcome: str,
    ) -> None:
        """Add a finding where two people drew different boxes."""
        (mine, rows), (theirs, others) = chosen, other
        if not _differ(rows, others):
            return
        why = (
            f"annotations {mine.number} and {theirs.number} differ ({len(rows)} and "
            f"{len(others)} boxes); {outcome}."
        )
        place = photo.place
        self.findings.append(
            Finding(Level.WARNING, self._path, place, why, FIX_DISPUTED)
        )

    def _refuse_shares(self, photos: Sequence[PhotoRows]) -> None:
        """Refuse boxes that are shares of the picture in the place of per cents.

        Raises:
            DatasetError: All boxes lie in one hundredth of their pictures.
        """
        sides = [side for photo in photos for row in photo.rows for side in row.box]
        if sides and 0 < max(sides) <= 1 / PER_CENT:
            raise DatasetError(
                f"{self._path}: boxes are shares of the picture, not per cents.",
                why=f"{counted(len(sides) // 4, 'box', 'boxes')}, and no number in "
                "them exceeds 1.",
                fix="Export from Label Studio, or multiply the boxes by 100.",
            )


def _uncertain(texts: Sequence[str], photos: Sequence[PhotoRows]) -> dict[int, int]:
    """Return the tasks whose picture may be that of another one, with that one.

    Two uploads of pictures with one name differ by their prefix alone, and two servers
    by the folder. A picture that has the whole name of one task only is certain.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        by_name[PurePosixPath(_without_prefix(text)).name].append(place)
    found: dict[int, int] = {}
    for places in by_name.values():
        names = {texts[place] for place in places}
        if len(names) < 2:
            continue
        ends = Counter(_end(name, depth) for name in names for depth in (1, 2))
        for place in places:
            is_certain = any(
                _end(texts[place], depth) == photos[place].path.parts[-depth:]
                and ends[_end(texts[place], depth)] == 1
                for depth in (1, 2)
            )
            if not is_certain and not photos[place].fault:
                found[place] = next(p for p in places if texts[p] != texts[place])
    return found


def _end(name: str, depth: int) -> tuple[str, ...]:
    """Return the last parts of a name: 1 = the file, 2 = its folder too."""
    return PurePosixPath(name.replace("\\", "/")).parts[-depth:]


def _differ(mine: Sequence[Row], others: Sequence[Row]) -> bool:
    """Return whether two people drew different boxes."""
    if sorted(row.label for row in mine) != sorted(row.label for row in others):
        return True
    for label in {row.label for row in mine}:
        one, other = _boxes(mine, label), _boxes(others, label)
        for a, b in ((one, other), (other, one)):
            if best_overlaps(a, b).min() < SAME_IOU:
                return True
    return False


def _boxes(rows: Sequence[Row], label: str) -> Boxes:
    """Return the boxes of a class, ``[N, 4]``, shares of the picture."""
    boxes = np.array([row.box for row in rows if row.label == label])
    # A box far outside overlaps nothing, as one just outside does; float32 holds it.
    return boxes.clip(-1, 2).astype(np.float32)


def _size_px(region: dict[str, Any]) -> tuple[int, int] | None:
    size = stated_size(region.get("original_width"), region.get("original_height"))
    return size if size and min(size) else None


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
