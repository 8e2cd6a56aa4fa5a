"""Resamples of the photos that several models are measured on.

All models are compared on the same resamples: a photo that is hard for one is mostly
hard for the others, so their difference is known better than each of them.

Source:
    Efron 1979, the bootstrap; in pairs, as in Efron and Tibshirani 1993, chapter 8.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.boxes import IntArray
from models.detections import Detections
from models.postprocess import DecisionRule
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import (
    RIGHT_IOU,
    average_precision,
    monotonous,
    true_positives,
)

DRAWS = 400


def draw_photos(photos: Sequence[Photo], seed: int, draws: int = DRAWS) -> IntArray:
    """Return how often each photo is taken in each draw, ``[B, N]`` int64.

    Every draw has as many defective and as many good photos as there are.
    """
    rng = np.random.default_rng(seed)
    good = np.array([photo.is_good for photo in photos], np.bool_)
    taken = np.zeros((draws, len(photos)), np.int64)
    for part in (good, ~good):
        number = int(part.sum())
        if number:
            even = np.full(number, 1 / number)
            taken[:, part] = rng.multinomial(number, even, size=draws)
    return taken


def recall_parts(
    found: Sequence[Detections], photos: Sequence[Photo], rule: DecisionRule
) -> tuple[IntArray, IntArray]:
    """Return boxes found and labelled, of each label on each photo, ``[N, C]``.

    Args:
        found: One for each photo, down to a low score.
    """
    count = len(rule.score_thresholds)
    hits = np.zeros((len(photos), count), np.int64)
    boxes = np.zeros_like(hits)
    for row, (detections, photo) in enumerate(zip(found, photos, strict=True)):
        kept = rule.decide(detections)
        right = kept.labels[true_positives(kept, photo)]
        hits[row] = np.bincount(right, minlength=count)
        boxes[row] = np.bincount(photo.labels, minlength=count)
    return hits, boxes


def mean_precisions(
    found: Sequence[Detections],
    photos: Sequence[Photo],
    label_count: int,
    taken: IntArray,
    least_iou: float = RIGHT_IOU,
) -> npt.NDArray[np.float64]:
    """Return the mAP in each draw, ``[B]``.

    Args:
        found: One for each photo, down to a low score.
        taken: ``[B, N]`` from ``draw_photos``.
        least_iou: Overlap from which a box counts as found.
    """
    right = [
        true_positives(detections, photo, least_iou)
        for detections, photo in zip(found, photos, strict=True)
    ]
    scores = np.concatenate([d.scores for d in found])
    labels = np.concatenate([d.labels for d in found])
    hits = np.concatenate(right)
    photo_of = np.repeat(np.arange(len(photos)), [len(d) for d in found])
    columns = []
    for label in range(label_count):
        boxes = np.array([(photo.labels == label).sum() for photo in photos])
        mine = np.flatnonzero(labels == label)
        mine = mine[np.argsort(-scores[mine], kind="stable")]
        columns.append(
            [
                _average_precision(row[photo_of[mine]], hits[mine], int(row @ boxes))
                for row in taken
            ]
        )
    table = np.array(columns, np.float64)  # [C, B], nan where no box was drawn
    known = np.isfinite(table)
    summed = np.where(known, table, 0).sum(axis=0)
    mean: npt.NDArray[np.float64] = summed / known.sum(axis=0).clip(1)
    return mean


def drop_error(
    before: Sequence[Detections],
    after: Sequence[Detections],
    photos: Sequence[Photo],
    label_count: int,
    least_iou: float,
) -> float:
    """Return the standard error of the drop in mAP from one model to another.

    With other photos of the same kind the drop would differ by about so much.

    Args:
        before: One for each photo, down to a low score.
        after: The same of the other model.
        least_iou: Overlap from which a box counts as found.

    Returns:
        At least 0; 0 where no photo has a labelled box.
    """
    taken = draw_photos(photos, seed=0)
    values = [
        mean_precisions(found, photos, label_count, taken, least_iou)
        for found in (before, after)
    ]
    return float(np.std(values[0] - values[1], ddof=1))


def _average_precision(weights: IntArray, hits: np.ndarray, boxes: int) -> float:
    """Return the average precision of one class where photos count several times.

    Args:
        weights: ``[N]`` how often the photo of each detection was drawn, best first.
        hits: ``[N]`` bool, which detections are true positives.
        boxes: Labelled boxes drawn; 0 gives nan.
    """
    if not boxes:
        return np.nan
    right, reported = (weights * hits).cumsum(), weights.cumsum()
    return average_precision(right / boxes, monotonous(right / reported.clip(1)))
