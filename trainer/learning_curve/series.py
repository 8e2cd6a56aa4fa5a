"""Recall of each class and mAP@.33 over the number of photos trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import IntArray
from models.detections import Detections
from models.postprocess import DecisionRule
from trainer.data.dataset import Photo
from trainer.evaluation.bootstrap import draw_photos, mean_precisions, recall_parts
from trainer.evaluation.intervals import wilson
from trainer.learning_curve.power_law import Numbers

PERCENTILES_95 = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class CurveTraining:
    """One training of a learning curve, on the photos that all are measured on."""

    trained_on: Sequence[Photo]
    found: Sequence[Detections]
    rule: DecisionRule  # its own, chosen in the same way as all others'
    map_33: float  # as stored in its record


@dataclass(frozen=True, slots=True)
class Series:
    """One figure, measured after trainings on more and more photos."""

    label: str | None  # name of the class; None = all of them together
    photos: tuple[int, ...]  # [S] trained on, ascending; those that show the class
    values: tuple[float, ...]  # [S] recall of the class, or mAP@.33
    intervals: tuple[tuple[float, float], ...]  # [S] 95 %
    # [B, S] the same on resampled photos; nan where none shows the class
    draws: Numbers
    boxes: int  # labelled boxes to measure on
    photos_with_boxes: int  # photos to measure on that show them

    @property
    def figure(self) -> str:
        """What is measured."""
        return "mAP@.33" if self.label is None else "recall"


def measured_series(
    trainings: Sequence[CurveTraining],
    photos: Sequence[Photo],
    labels: Sequence[str],
    seed: int,
) -> list[Series]:
    """Return the figures of all classes together, then of each class.

    Args:
        trainings: Ascending in photos; the last one is the run itself.
        photos: All trainings were measured on these.
        labels: Class names; a class without a labelled box is left out.
        seed: Draws the resamples.
    """
    taken = draw_photos(photos, seed)
    parts = [recall_parts(one.found, photos, one.rule) for one in trainings]
    return [
        _all_classes(trainings, photos, len(labels), taken),
        *(
            _one_class(trainings, parts, (number, name), taken)
            for number, name in enumerate(labels)
            if parts[-1][1][:, number].any()
        ),
    ]


def _all_classes(
    trainings: Sequence[CurveTraining],
    photos: Sequence[Photo],
    label_count: int,
    taken: IntArray,
) -> Series:
    draws = np.stack(
        [mean_precisions(one.found, photos, label_count, taken) for one in trainings],
        axis=1,
    )  # [B, S]
    sides = np.percentile(draws, PERCENTILES_95, axis=0).T.tolist()
    return Series(
        None,
        tuple(len(one.trained_on) for one in trainings),
        tuple(one.map_33 for one in trainings),
        tuple(
            (min(low, one.map_33), max(high, one.map_33))
            for (low, high), one in zip(sides, trainings, strict=True)
        ),
        draws,
        sum(len(photo.labels) for photo in photos),
        sum(not photo.is_good for photo in photos),
    )


def _one_class(
    trainings: Sequence[CurveTraining],
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
            for one in trainings
        ),
        tuple(count / total for count in right),
        tuple(wilson(count, total) for count in right),
        draws,
        total,
        int((boxes > 0).sum()),
    )
