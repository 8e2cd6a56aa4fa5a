"""Recall of each class and mAP@.33 over the number of photos trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray, IntArray
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import wilson
from trainer.learning_curve.bootstrap import draw_photos, mean_precisions, recall_parts
from trainer.learning_curve.extrapolation import (
    SIDES_95,
    Extrapolation,
    Series,
    outlook,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One training of a learning curve, on the photos that all are measured on.

    Attributes:
        trained_on: Its photos.
        found: One for each photo measured on.
        thresholds: ``[C]`` its own, chosen by the same rule as all others'.
        map_33: Of the record.
    """

    trained_on: Sequence[Photo]
    found: Sequence[Detections]
    thresholds: FloatArray
    map_33: float


def outlooks(
    measured: Sequence[Measured],
    photos: Sequence[Photo],
    labels: Sequence[str],
    goal: float,
    seed: int,
) -> list[Extrapolation]:
    """Return what more photos would bring: for all together, then for each class.

    Args:
        measured: Ascending in photos; the last one is the run itself.
        photos: That they were measured on.
        labels: Class names; those that nothing is labelled of are left out.
        goal: Recall, and mAP@.33.
        seed: Of the resampling.
    """
    taken = draw_photos(photos, seed)
    parts = [recall_parts(one.found, photos, one.thresholds) for one in measured]
    found = [_together(measured, photos, len(labels), taken)]
    found += [
        _of_class(measured, parts, (number, name), taken)
        for number, name in enumerate(labels)
        if parts[-1][1][:, number].any()
    ]
    return [outlook(series, goal, seed) for series in found]


def _together(
    measured: Sequence[Measured],
    photos: Sequence[Photo],
    label_count: int,
    taken: IntArray,
) -> Series:
    """Return mAP@.33 over all photos."""
    draws = np.stack(
        [mean_precisions(one.found, photos, label_count, taken) for one in measured],
        axis=1,
    )  # [B, S]
    sides = np.percentile(draws, SIDES_95, axis=0).T.tolist()
    return Series(
        None,
        tuple(len(one.trained_on) for one in measured),
        tuple(one.map_33 for one in measured),
        tuple(
            (min(low, one.map_33), max(high, one.map_33))
            for (low, high), one in zip(sides, measured, strict=True)
        ),
        draws,
        sum(len(photo.labels) for photo in photos),
        sum(not photo.is_good for photo in photos),
    )


def _of_class(
    measured: Sequence[Measured],
    parts: Sequence[tuple[IntArray, IntArray]],
    label: tuple[int, str],
    taken: IntArray,
) -> Series:
    """Return the recall of one class over the photos that show it."""
    number, name = label
    boxes = parts[-1][1][:, number]  # [N]
    hits = np.stack([found[:, number] for found, _ in parts], axis=1)  # [N, S]
    drawn = (taken @ boxes)[:, None]  # [B, 1]
    draws = np.where(drawn > 0, taken @ hits / np.maximum(drawn, 1), np.nan)
    total, right = int(boxes.sum()), hits.sum(axis=0).tolist()
    return Series(
        name,
        tuple(
            sum(bool((photo.labels == number).any()) for photo in one.trained_on)
            for one in measured
        ),
        tuple(count / total for count in right),
        tuple(wilson(count, total) for count in right),
        draws,
        total,
        int((boxes > 0).sum()),
    )
