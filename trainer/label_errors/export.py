"""Writes label issues as files: a list for programs, and what annotation tools open.

::

    RUN/suspects/
        suspects.json       every issue, highest confidence first
        cvat.xml            CVAT for images 1.1
        label_studio.json   Label Studio, boxes as predictions
        coco.json           COCO

The files for annotation tools hold only the photos with an issue, with all boxes of
each as labelled. A labelled box in question carries a note; a box that the detector
proposes carries its score too. No label is changed.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

from models.boxes import Boxes
from models.detections import Detections
from models.files import make_folder, write_atomically
from models.label_files import LabelledBox, LabelledPicture
from trainer.data.dataset import Dataset, Photo
from trainer.data.formats.writers import write_coco, write_cvat, write_label_studio
from trainer.label_errors.issues import LabelIssue, LabelIssueKind
from trainer.run_record import unwritable

FOLDER_NAME = "suspects"
LIST_NAME = "suspects.json"
WRITERS: dict[str, Callable[[Path, Sequence[LabelledPicture]], None]] = {
    "cvat.xml": write_cvat,
    "label_studio.json": write_label_studio,
    "coco.json": write_coco,
}
# The kinds whose detection is a better box than the label.
PROPOSALS = (LabelIssueKind.MISSING, LabelIssueKind.WRONG_CLASS, LabelIssueKind.LOOSE)


def write_label_issues(
    folder: Path,
    dataset: Dataset,
    photos: Sequence[Photo],
    found: Sequence[Detections],
    issues: Sequence[LabelIssue],
) -> None:
    """Write all files of a list of label issues.

    Args:
        folder: Made if it does not exist.
        photos: The issues index into these.
        found: One for each photo.

    Raises:
        TrainingError: The folder cannot be written.
        DatasetError: A file there cannot be written.
    """
    rows = [_row(i, dataset, photos[i.photo], found[i.photo]) for i in issues]
    try:
        make_folder(folder)
        text = json.dumps({"suspects": rows}, indent=2) + "\n"
        write_atomically(folder / LIST_NAME, text.encode())
    except OSError as exc:
        raise unwritable(folder, exc) from exc
    by_photo: dict[int, list[LabelIssue]] = {}
    for issue in issues:
        by_photo.setdefault(issue.photo, []).append(issue)
    pictures = tuple(
        _picture(dataset, photos[index], found[index], of_photo)
        for index, of_photo in by_photo.items()
    )
    for name, write in WRITERS.items():
        write(folder / name, pictures)


def issue_text(
    issue: LabelIssue, labels: Sequence[str], photo: Photo, detections: Detections
) -> str:
    """Return what may be wrong, for a person who sees the photo."""
    detected, labelled = "", ""
    if issue.detection is not None:
        detected = labels[detections.labels[issue.detection]]
    if issue.label is not None:
        labelled = labels[photo.labels[issue.label]]
    match issue.kind:
        case LabelIssueKind.MISSING:
            text = f"missing box? {detected} is detected here, nothing is labelled"
        case LabelIssueKind.WRONG_CLASS:
            text = f"wrong class? labelled {labelled}, detected as {detected}"
        case LabelIssueKind.LOOSE:
            text = f"loose box? {labelled} is detected with other edges"
        case LabelIssueKind.SPURIOUS:
            text = f"spurious label? no {labelled} is detected here"
        case LabelIssueKind.DUPLICATE:
            text = f"duplicate label? {labelled} is labelled here already"
        case _:
            assert_never(issue.kind)
    return f"{text} (confidence {issue.confidence:.2f})"


def _picture(
    dataset: Dataset, photo: Photo, detections: Detections, issues: Sequence[LabelIssue]
) -> LabelledPicture:
    """Return one photo: the boxes as labelled, then the proposed ones."""
    texts = [issue_text(i, dataset.labels, photo, detections) for i in issues]
    notes = {
        issue.label: text
        for issue, text in zip(issues, texts, strict=True)
        if issue.label is not None
    }
    boxes = [
        LabelledBox(dataset.labels[label], _corners(box), None, notes.get(number, ""))
        for number, (box, label) in enumerate(
            zip(photo.boxes, photo.labels, strict=True)
        )
    ]
    for issue, text in zip(issues, texts, strict=True):
        if issue.detection is not None and issue.kind in PROPOSALS:
            label = dataset.labels[detections.labels[issue.detection]]
            score = float(detections.scores[issue.detection])
            corners = _corners(detections.boxes[issue.detection])
            boxes.append(LabelledBox(label, corners, score, f"proposed: {text}"))
    name = _relative_name(dataset, photo)
    return LabelledPicture(name, photo.width_px, photo.height_px, tuple(boxes))


def _relative_name(dataset: Dataset, photo: Photo) -> str:
    """Return a photo's path in the dataset with ``/``; its bare name from elsewhere."""
    if photo.path.is_relative_to(dataset.root):
        return photo.path.relative_to(dataset.root).as_posix()
    return photo.path.name


def _row(
    issue: LabelIssue, dataset: Dataset, photo: Photo, detections: Detections
) -> dict[str, object]:
    row: dict[str, object] = {
        "kind": issue.kind.value,
        "sure": round(issue.confidence, 4),
        "photo": _relative_name(dataset, photo),
        "photo_sha256": photo.sha256,
        "words": issue_text(issue, dataset.labels, photo, detections),
        "labelled": None,
        "seen": None,
    }
    if issue.label is not None:
        row["labelled"] = {
            "label": dataset.labels[photo.labels[issue.label]],
            "box_px": _corners(photo.boxes[issue.label]),
        }
    if issue.detection is not None:
        row["seen"] = {
            "label": dataset.labels[detections.labels[issue.detection]],
            "box_px": _corners(detections.boxes[issue.detection]),
            "score": round(float(detections.scores[issue.detection]), 4),
        }
    return row


def _corners(box: Boxes) -> tuple[float, float, float, float]:
    """Return corners as plain numbers, to a tenth of a pixel."""
    x1, y1, x2, y2 = (round(float(value), 1) for value in box)
    return x1, y1, x2, y2
