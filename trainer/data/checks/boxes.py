"""What is wrong with the boxes of a dataset, beyond what reading them shows."""

from collections.abc import Iterator

import numpy as np

from models.boxes import Boxes, area, iou
from models.preprocess import Letterbox
from trainer.data.dataset import Dataset, Photo
from trainer.data.formats.kinds import Kind
from trainer.data.formats.rows import Corners, Finding, Level

SAME_BOX_IOU = 0.9
HUGE_SHARE = 0.9  # of the photo: a class of the whole part is no box
SMALLEST_SIDE_PX = 8  # of the input: one cell of the finest map that detectors have


def duplicate_boxes(dataset: Dataset) -> list[Finding]:
    """Return boxes of one class that lie on each other.

    Args:
        dataset: Opened.
    """
    return [
        Finding(
            Level.WARNING,
            photo.path,
            place_of(photo, later),
            f"{named(dataset, photo, later)} is there twice: it covers another "
            f"{dataset.labels[photo.labels[first]]} to "
            f"{100 * overlap:.0f} %.",
            "Delete one of the two.",
            Kind.DUPLICATE_BOX,
            (corners(photo.boxes[later]),),
        )
        for photo in photos_of(dataset)
        for first, later, overlap in doubles(photo)
    ]


def doubles(photo: Photo) -> Iterator[tuple[int, int, float]]:
    """Yield each box that repeats an earlier one of the same class that is kept.

    Args:
        photo: With its boxes.

    Yields:
        Index of the earlier box, index of the later one, their IoU.
    """
    if len(photo.labels) < 2:
        return
    same = photo.labels[:, None] == photo.labels
    overlaps = np.where(same, iou(photo.boxes, photo.boxes), 0)  # [G, G]
    kept: list[int] = []
    for later, row in enumerate(overlaps):
        first = max(kept, key=row.__getitem__, default=later)
        if first != later and row[first] > SAME_BOX_IOU:
            yield first, later, float(row[first])
        else:
            kept.append(later)


def huge_boxes(dataset: Dataset) -> list[Finding]:
    """Return boxes that cover nearly the whole photo.

    Args:
        dataset: Opened.
    """
    findings = []
    for photo in photos_of(dataset):
        shares = area(photo.boxes) / (photo.width_px * photo.height_px)
        for index in np.flatnonzero(shares > HUGE_SHARE):
            why = f"{named(dataset, photo, index)} covers {100 * shares[index]:.0f} % "
            why += "of the photo."
            fix = "Draw the box around the defect, not around the part."
            place, box = place_of(photo, index), corners(photo.boxes[index])
            findings.append(
                Finding(
                    Level.WARNING, photo.path, place, why, fix, Kind.HUGE_BOX, (box,)
                )
            )
    return findings


def small_boxes(dataset: Dataset, height_px: int, width_px: int) -> list[Finding]:
    """Return photos with boxes that the input shrinks to almost nothing.

    Args:
        dataset: Opened.
        height_px: Of the input that is trained with.
        width_px: Likewise.
    """
    findings = []
    for photo in photos_of(dataset):
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
                Kind.SMALL_BOX,
                tuple(corners(photo.boxes[index]) for index in small),
            )
        )
    return findings


def _larger(photo_px: int, side_px: float) -> str:
    """Return what makes a box of a photo large enough, if anything does."""
    if side_px < SMALLEST_SIDE_PX:
        return (
            f"It has {side_px:.1f} px in the photo itself: photograph from nearer, or "
            "draw it larger."
        )
    size_px = int(np.ceil(photo_px * SMALLEST_SIDE_PX / side_px))
    return f"Train with --size {size_px} or more, or photograph from nearer."


def photos_of(dataset: Dataset) -> Iterator[Photo]:
    """Yield the photos of all splits.

    Args:
        dataset: Opened.
    """
    for photos in dataset.splits.values():
        yield from photos


def place_of(photo: Photo, index: int | np.intp) -> str:
    """Return where a box stands in its annotation file, if that is known.

    Args:
        photo: Of the dataset.
        index: Of the box.
    """
    return photo.places[index] if photo.places else ""


def named(dataset: Dataset, photo: Photo, index: int | np.intp) -> str:
    """Return a box in words.

    Args:
        dataset: Opened.
        photo: Of the dataset.
        index: Of the box.
    """
    shown = ", ".join(f"{value:.0f}" for value in photo.boxes[index])
    return f"box {dataset.labels[photo.labels[index]]} [{shown}]"


def corners(box: Boxes) -> Corners:
    """Return one box as plain numbers.

    Args:
        box: ``[4]`` float32, xyxy, pixels.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    return x1, y1, x2, y2
