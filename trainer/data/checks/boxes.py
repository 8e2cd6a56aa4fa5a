"""Finds faults of the boxes of a dataset that are not found while reading them."""

from collections.abc import Iterator

import numpy as np

from models.boxes import Boxes, area, iou
from models.preprocess import Letterbox
from trainer.data.dataset import Dataset, Photo
from trainer.data.findings import Corners, Finding, FindingKind, Level

SAME_BOX_IOU = 0.9  # two boxes of one class that overlap more are one defect
HUGE_SHARE = 0.9  # of the photo: such a box marks the part, not the defect
SMALLEST_SIDE_PX = 8  # at the input: one cell of the detectors' finest feature map


def duplicate_boxes(dataset: Dataset) -> list[Finding]:
    """Return boxes of one class that lie on each other."""
    return [
        Finding(
            Level.WARNING,
            photo.path,
            place_of(photo, later),
            f"{described(dataset, photo, later)} is there twice: it covers another "
            f"{dataset.labels[photo.labels[first]]} to "
            f"{100 * overlap:.0f} %.",
            "Delete one of the two.",
            FindingKind.DUPLICATE_BOX,
            (corners(photo.boxes[later]),),
        )
        for photo in dataset.photos
        for first, later, overlap in repeated_boxes(photo)
    ]


def repeated_boxes(photo: Photo) -> Iterator[tuple[int, int, float]]:
    """Yield each box that repeats an earlier one of the same class that is kept.

    Yields:
        Index of the earlier box, index of the later one, their IoU.
    """
    # One row after the other: all pairs of 20,000 boxes would take gigabytes.
    is_kept = np.zeros(len(photo.labels), bool)
    for later, label in enumerate(photo.labels):
        earlier = np.flatnonzero(is_kept & (photo.labels == label))
        overlaps = iou(photo.boxes[later : later + 1], photo.boxes[earlier])[0]
        best = int(overlaps.argmax()) if len(earlier) else 0
        if len(earlier) and overlaps[best] > SAME_BOX_IOU:
            yield int(earlier[best]), later, float(overlaps[best])
        else:
            is_kept[later] = True


def huge_boxes(dataset: Dataset) -> list[Finding]:
    """Return boxes that cover nearly the whole photo."""
    findings = []
    for photo in dataset.photos:
        shares = area(photo.boxes) / (photo.width_px * photo.height_px)
        for index in np.flatnonzero(shares > HUGE_SHARE):
            share = f"{100 * shares[index]:.0f} %"
            why = f"{described(dataset, photo, index)} covers {share} of the photo."
            fix = "Draw the box around the defect, not around the part."
            place, box = place_of(photo, index), corners(photo.boxes[index])
            findings.append(
                Finding(
                    Level.WARNING,
                    photo.path,
                    place,
                    why,
                    fix,
                    FindingKind.HUGE_BOX,
                    (box,),
                )
            )
    return findings


def small_boxes(dataset: Dataset, height_px: int, width_px: int) -> list[Finding]:
    """Return photos with boxes that are too small at the input's size."""
    findings = []
    for photo in dataset.photos:
        sizes = photo.height_px, photo.width_px
        scale = Letterbox(*sizes, height_px, width_px).scale
        sides = (photo.boxes[:, 2:] - photo.boxes[:, :2]).min(axis=1, initial=np.inf)
        small = np.flatnonzero(sides * scale < SMALLEST_SIDE_PX)
        if not len(small):
            continue
        least = int(small[sides[small].argmin()])
        label = dataset.labels[photo.labels[least]]
        why = (
            f"{len(small)} of {len(sides)} boxes {'are' if len(small) > 1 else 'is'} "
            f"narrower than {SMALLEST_SIDE_PX} px at the input of {width_px} x "
            f"{height_px}; the smallest, {label}, is {sides[least] * scale:.1f} px."
        )
        findings.append(
            Finding(
                Level.WARNING,
                photo.path,
                "",
                why,
                _larger(max(sizes), float(sides[least])),
                FindingKind.SMALL_BOX,
                tuple(corners(photo.boxes[index]) for index in small),
            )
        )
    return findings


def _larger(photo_px: int, side_px: float) -> str:
    """Return how a box of a photo becomes large enough."""
    if side_px < SMALLEST_SIDE_PX:
        return (
            f"It has {side_px:.1f} px in the photo itself: photograph from nearer, or "
            "draw it larger."
        )
    size_px = int(np.ceil(photo_px * SMALLEST_SIDE_PX / side_px))
    return f"Train with --size {size_px} or more, or photograph from nearer."


def place_of(photo: Photo, index: int | np.intp) -> str:
    """Return where a box is in its annotation file; empty if that is not known."""
    return photo.places[index] if photo.places else ""


def described(dataset: Dataset, photo: Photo, index: int | np.intp) -> str:
    """Return class and corners of a box as text."""
    shown = ", ".join(f"{value:.0f}" for value in photo.boxes[index])
    return f"box {dataset.labels[photo.labels[index]]} [{shown}]"


def corners(box: Boxes) -> Corners:
    """Return one box, ``[4]`` xyxy, as plain numbers."""
    x1, y1, x2, y2 = (float(value) for value in box)
    return x1, y1, x2, y2
