"""Resamples of the photos that a learning curve is measured on.

All trainings are compared on the same resamples: a photo that is hard for one is mostly
hard for the others, so their difference is known better than each of them.

Source:
    Efron 1979, the bootstrap; in pairs, as in Efron and Tibshirani 1993, chapter 8.
"""

from collections.abc import Sequence

import numpy as np

from models.boxes import IntArray
from models.detections import Detections
from models.postprocess import DecisionRule
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import average_precision, monotonous, true_positives
from trainer.learning_curve.power_law import Numbers

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
) -> Numbers:
    """Return mAP@.33 in each draw, ``[B]``.

    Args:
        found: One for each photo, down to a low score.
        taken: ``[B, N]`` from ``draw_photos``.
    """
    right = [true_positives(d, photo) for d, photo in zip(found, photos, strict=True)]
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
    mean: Numbers = summed / known.sum(axis=0).clip(1)
    return mean


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
