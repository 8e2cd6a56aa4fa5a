"""The figures behind the report: curves, confusions, and the worst photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray, IntArray, iou
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import RECALL_POINTS, RIGHT_IOU, right_ones


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """How one label does.

    Attributes:
        label: Index.
        boxes: Labelled boxes.
        found: Labelled boxes found at the threshold.
        false: Detections at the threshold that are not right.
        recall: ``[N]`` recall down to each score, ascending.
        precision: ``[N]`` precision there, made monotonous.
        average_precision: Area below, at IoU 0.33.
    """

    label: int
    boxes: int
    found: int
    false: int
    recall: FloatArray
    precision: FloatArray
    average_precision: float


def label_figures(
    found: Sequence[Detections], photos: Sequence[Photo], thresholds: FloatArray
) -> list[LabelFigures]:
    """Return how each label does.

    Args:
        found: One for each photo, down to a low score.
        photos: With the ground truth.
        thresholds: ``[C]`` float32.
    """
    right = [right_ones(d, photo) for d, photo in zip(found, photos, strict=True)]
    scores = np.concatenate([d.scores for d in found])
    labels = np.concatenate([d.labels for d in found])
    hits = np.concatenate(right)
    truth = np.concatenate([photo.labels for photo in photos])
    return [
        _label(
            label,
            scores[labels == label],
            hits[labels == label],
            int((truth == label).sum()),
            float(thresholds[label]),
        )
        for label in range(len(thresholds))
    ]


def _label(
    label: int, scores: FloatArray, hits: np.ndarray, boxes: int, threshold: float
) -> LabelFigures:
    """Return one label's figures from all of its detections."""
    order = np.argsort(-scores, kind="stable")
    right = hits[order].cumsum()
    recall = (right / max(1, boxes)).astype(np.float32)
    precision = (right / np.arange(1, len(order) + 1)).astype(np.float32)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    position = np.searchsorted(recall, RECALL_POINTS)
    reached = position < len(recall)
    average = float(envelope[position[reached]].sum() / len(RECALL_POINTS))
    kept = scores >= threshold
    good = int(hits[kept].sum())
    return LabelFigures(
        label, boxes, good, int(kept.sum()) - good, recall, envelope, average
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """One photo with what was right and wrong on it.

    Attributes:
        photo: With the ground truth.
        found: Detections at the thresholds.
        right: ``[N]`` bool, which of them are right.
        missed: ``[G]`` bool, which labelled boxes nobody found.
    """

    photo: Photo
    found: Detections
    right: np.ndarray
    missed: np.ndarray

    @property
    def faults(self) -> int:
        """Missed boxes and false detections."""
        return int(self.missed.sum() + (~self.right).sum())

    @property
    def escaped(self) -> bool:
        """Whether a defective part would have passed."""
        return not self.photo.is_good and len(self.found) == 0


def judge(detections: Detections, photo: Photo, thresholds: FloatArray) -> Judged:
    """Return one photo with what was right and wrong on it.

    Args:
        detections: Down to a low score.
        photo: With the ground truth.
        thresholds: ``[C]`` float32.
    """
    kept = detections.above(thresholds)
    right = right_ones(kept, photo)
    taken = np.zeros(len(photo.labels), bool)
    overlaps = iou(kept.boxes[right], photo.boxes)  # [R, G]
    for row, label in zip(overlaps, kept.labels[right], strict=True):
        taken[int(np.where(~taken & (photo.labels == label), row, -1).argmax())] = True
    return Judged(photo, kept, right, ~taken)


def worst_photos(judged: Sequence[Judged], count_: int) -> list[Judged]:
    """Return defective photos with faults: escapes first, then the most faults.

    Args:
        judged: All photos.
        count_: At most this many.
    """
    faulty = [j for j in judged if j.faults and not j.photo.is_good]
    faulty.sort(key=lambda j: (not j.escaped, -int(j.missed.sum()), -j.faults))
    return faulty[:count_]


def alarmed_good_photos(judged: Sequence[Judged]) -> list[Judged]:
    """Return good photos with a detection, the surest ones first.

    Args:
        judged: All photos.
    """
    alarmed = [j for j in judged if j.photo.is_good and len(j.found)]
    return sorted(alarmed, key=lambda j: -float(j.found.scores.max()))


def confusion(judged: Sequence[Judged], label_count: int) -> IntArray:
    """Return how often which label was taken for which.

    Boxes are matched whatever their label, best score first, the same label
    preferred.

    Args:
        judged: All photos.
        label_count: C.

    Returns:
        ``[C + 1, C + 1]`` int64: row = what it is (last: nothing), column = what
        was said (last: nothing).
    """
    table: IntArray = np.zeros((label_count + 1, label_count + 1), np.int64)
    for one in judged:
        truth = one.photo.labels
        free = np.ones(len(truth), bool)
        overlaps = iou(one.found.boxes, one.photo.boxes)  # [N, G]
        for row, label in zip(overlaps, one.found.labels, strict=True):
            close = np.where(free & (row >= RIGHT_IOU), row + (truth == label), -1.0)
            best = int(close.argmax()) if len(close) else -1
            if best < 0 or close[best] < 0:
                table[label_count, label] += 1
            else:
                table[truth[best], label] += 1
                free[best] = False
        table[:label_count, label_count] += np.bincount(
            truth[free], minlength=label_count
        )
    return table
