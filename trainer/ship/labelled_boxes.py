"""Sizes, places and scores of the labelled defects, for the rules of the line PC.

``min_size_px``, thresholds and regions of a camera are compared with them: a rule that
none of these defects passes hides all defects of that label.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from models.detections import Detections
from models.manifest import LabelledBoxes
from trainer.data.dataset import Photo

DIGITS_PX, DIGITS_SHARE = 1, 4  # a manifest is also read by people


def measure_labelled_boxes(
    photos: Sequence[Photo], labels: Sequence[str], found: Sequence[Detections]
) -> dict[str, LabelledBoxes]:
    """Return the figures of each label that has boxes.

    Args:
        photos: All photos of the dataset.
        labels: Names; the index is the label.
        found: Detections on the photos that the thresholds were chosen on, down to a
            low score.
    """
    measured = {}
    for index, label in enumerate(labels):
        rows = [row for photo in photos for row in _rows(photo, index)]
        scores = [d.scores[d.labels == index].max(initial=0) for d in found]
        if rows:
            measured[label] = _figures(
                np.array(rows, np.float64),
                photo_size_px=_usual_size(photos, index),
                highest_score=float(max(scores, default=0)),
            )
    return measured


def _usual_size(photos: Sequence[Photo], label: int) -> tuple[int, int]:
    """Return the most frequent width and height of the photos with a label."""
    sizes = Counter(
        (photo.width_px, photo.height_px) for photo in photos if label in photo.labels
    )
    return sizes.most_common(1)[0][0]


def _rows(photo: Photo, label: int) -> list[tuple[float, float, float, float]]:
    """Return longer side in pixels and as a share, and centre, of each box."""
    longer_px = max(photo.width_px, photo.height_px)
    return [
        (
            max(x2 - x1, y2 - y1),
            max(x2 - x1, y2 - y1) / longer_px,
            (x1 + x2) / 2 / photo.width_px,
            (y1 + y2) / 2 / photo.height_px,
        )
        for x1, y1, x2, y2 in photo.boxes[photo.labels == label].tolist()
    ]


def _figures(
    rows: np.ndarray, *, photo_size_px: tuple[int, int], highest_score: float
) -> LabelledBoxes:
    """Return the figures of rows, ``[N, 4]`` float64, of ``_rows``."""
    sides_px, shares, centres = rows[:, 0], rows[:, 1], rows[:, 2:].clip(0, 1)
    (x1, y1), (x2, y2) = centres.min(axis=0), centres.max(axis=0)
    return LabelledBoxes(
        count=len(rows),
        smallest_px=round(float(sides_px.min()), DIGITS_PX),
        median_px=round(float(np.median(sides_px)), DIGITS_PX),
        largest_px=round(float(sides_px.max()), DIGITS_PX),
        smallest_share=_share(shares.min()),
        largest_share=_share(shares.max()),
        photo_size_px=photo_size_px,
        centres=(_share(x1), _share(y1), _share(x2), _share(y2)),
        highest_score=_share(highest_score) if highest_score else None,
    )


def _share(value: float) -> float:
    return round(min(float(value), 1.0), DIGITS_SHARE)
