"""Suspects as files: a list for programs, and what annotation tools open.

::

    RUN/suspects/
        suspects.json       every suspect, the surest first
        cvat.xml            CVAT for images 1.1
        label_studio.json   Label Studio, boxes as predictions
        coco.json           COCO

The files for annotation tools hold only the photos with a suspect, with all boxes of
each as it is labelled; a labelled box in question carries a note, a box that the
detector proposes carries its score too. Nothing is corrected by itself.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

from models.boxes import Boxes
from models.detections import Detections
from models.files import write_atomically
from trainer.data.dataset import Dataset, Photo
from trainer.data.formats.writers import (
    LabelledBox,
    LabelledPicture,
    write_coco,
    write_cvat,
    write_label_studio,
)
from trainer.label_errors.issues import LabelIssue, LabelIssueKind
from trainer.run import unwritable

FOLDER_NAME = "suspects"
LIST_NAME = "suspects.json"
WRITERS: dict[str, Callable[[Path, Sequence[LabelledPicture]], None]] = {
    "cvat.xml": write_cvat,
    "label_studio.json": write_label_studio,
    "coco.json": write_coco,
}
PROPOSALS = (LabelIssueKind.MISSING, LabelIssueKind.WRONG_CLASS, LabelIssueKind.LOOSE)


def write_suspects(
    folder: Path,
    dataset: Dataset,
    photos: Sequence[Photo],
    found: Sequence[Detections],
    suspects: Sequence[LabelIssue],
) -> None:
    """Write all files of a list of suspects.

    Args:
        folder: Made if it does not exist.
        dataset: For the class names and where the photos lie.
        photos: That were looked at.
        found: One for each photo.
        suspects: From ``find_suspects``.

    Raises:
        TrainingError: The folder cannot be written.
        DatasetError: A file there cannot be written.
    """
    rows = [_row(s, dataset, photos[s.photo], found[s.photo]) for s in suspects]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"suspects": rows}, indent=2) + "\n"
        write_atomically(folder / LIST_NAME, text.encode())
    except OSError as exc:
        raise unwritable(folder, exc) from exc
    pictures = labelled_pictures(dataset, photos, found, suspects)
    for name, write in WRITERS.items():
        write(folder / name, pictures)


def labelled_pictures(
    dataset: Dataset,
    photos: Sequence[Photo],
    found: Sequence[Detections],
    suspects: Sequence[LabelIssue],
) -> tuple[LabelledPicture, ...]:
    """Return the photos with a suspect, the surest first, as labelled and proposed.

    Args:
        dataset: For the class names and where the photos lie.
        photos: That were looked at.
        found: One for each photo.
        suspects: From ``find_suspects``.
    """
    by_photo: dict[int, list[LabelIssue]] = {}
    for suspect in suspects:
        by_photo.setdefault(suspect.photo, []).append(suspect)
    return tuple(
        _picture(dataset, photos[index], found[index], mine)
        for index, mine in by_photo.items()
    )


def picture_name(dataset: Dataset, photo: Photo) -> str:
    """Return where a photo lies in the dataset, with ``/``.

    Args:
        dataset: For its folder.
        photo: Of the dataset; one that lies elsewhere keeps its bare name.
    """
    if photo.path.is_relative_to(dataset.root):
        return photo.path.relative_to(dataset.root).as_posix()
    return photo.path.name


def in_words(
    suspect: LabelIssue, labels: Sequence[str], photo: Photo, seen: Detections
) -> str:
    """Return what is suspected, for a person who looks at the photo.

    Args:
        suspect: One of the photo's.
        labels: Class names.
        photo: With the label in question.
        seen: Detections on the photo.
    """
    shown = "" if suspect.seen is None else labels[seen.labels[suspect.seen]]
    named = "" if suspect.labelled is None else labels[photo.labels[suspect.labelled]]
    match suspect.kind:
        case LabelIssueKind.MISSING:
            words = f"missing box? {shown} is seen here, nothing is labelled"
        case LabelIssueKind.WRONG_CLASS:
            words = f"wrong class? labelled {named}, seen as {shown}"
        case LabelIssueKind.LOOSE:
            words = f"loose box? {named} is seen with other edges"
        case LabelIssueKind.SPURIOUS:
            words = f"spurious label? no {named} is seen here"
        case LabelIssueKind.DUPLICATE:
            words = f"duplicate label? {named} is labelled here already"
        case _:
            assert_never(suspect.kind)
    return f"{words} (sure {suspect.sure:.2f})"


def _picture(
    dataset: Dataset, photo: Photo, seen: Detections, suspects: Sequence[LabelIssue]
) -> LabelledPicture:
    """Return one photo: the boxes as labelled, then the proposed ones."""
    words = [in_words(s, dataset.labels, photo, seen) for s in suspects]
    notes = {
        suspect.labelled: text
        for suspect, text in zip(suspects, words, strict=True)
        if suspect.labelled is not None
    }
    boxes = [
        LabelledBox(dataset.labels[label], _corners(box), None, notes.get(number, ""))
        for number, (box, label) in enumerate(
            zip(photo.boxes, photo.labels, strict=True)
        )
    ]
    for suspect, text in zip(suspects, words, strict=True):
        if suspect.seen is not None and suspect.kind in PROPOSALS:
            label = dataset.labels[seen.labels[suspect.seen]]
            score = float(seen.scores[suspect.seen])
            corners = _corners(seen.boxes[suspect.seen])
            boxes.append(LabelledBox(label, corners, score, f"proposed: {text}"))
    name = picture_name(dataset, photo)
    return LabelledPicture(name, photo.width_px, photo.height_px, tuple(boxes))


def _row(
    suspect: LabelIssue, dataset: Dataset, photo: Photo, seen: Detections
) -> dict[str, object]:
    """Return one suspect for programs."""
    row: dict[str, object] = {
        "kind": suspect.kind.value,
        "sure": round(suspect.sure, 4),
        "photo": picture_name(dataset, photo),
        "photo_sha256": photo.sha256,
        "words": in_words(suspect, dataset.labels, photo, seen),
        "labelled": None,
        "seen": None,
    }
    if suspect.labelled is not None:
        row["labelled"] = {
            "label": dataset.labels[photo.labels[suspect.labelled]],
            "box_px": _corners(photo.boxes[suspect.labelled]),
        }
    if suspect.seen is not None:
        row["seen"] = {
            "label": dataset.labels[seen.labels[suspect.seen]],
            "box_px": _corners(seen.boxes[suspect.seen]),
            "score": round(float(seen.scores[suspect.seen]), 4),
        }
    return row


def _corners(box: Boxes) -> tuple[float, float, float, float]:
    """Return corners as plain numbers, to a tenth of a pixel."""
    x1, y1, x2, y2 = (round(float(value), 1) for value in box)
    return x1, y1, x2, y2
