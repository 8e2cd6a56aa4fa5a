"""The figures behind the report: curves, confusions, and the worst photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray, IntArray, iou
from models.detections import Detections
from models.manifest import Metrics
from models.postprocess import DecisionRule
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import (
    RIGHT_IOU,
    average_precision,
    monotonous,
    true_positives,
)
from trainer.evaluation.text import share_text


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """The figures of one label."""

    label: int
    boxes: int
    found: int  # labelled boxes found at the threshold
    false_positives: int  # other detections at the threshold
    recall: FloatArray  # [N] recall down to each score, ascending
    precision: FloatArray  # [N] highest precision at that recall or above
    average_precision: float | None  # at `RIGHT_IOU`; None without a labelled box


@dataclass(frozen=True, slots=True)
class MatchedPhoto:
    """One photo, its detections matched with its labels."""

    photo: Photo
    found: Detections  # detections at the thresholds
    right: np.ndarray  # [N] bool, which of them are true positives
    missed: np.ndarray  # [G] bool, which labelled boxes were not found

    @property
    def faults(self) -> int:
        """Missed boxes and false positives."""
        return int(self.missed.sum() + (~self.right).sum())

    @property
    def escaped(self) -> bool:
        """Whether a defective part would have passed."""
        return not self.photo.is_good and len(self.found) == 0


def label_figures(
    found: Sequence[Detections], photos: Sequence[Photo], rule: DecisionRule
) -> list[LabelFigures]:
    """Return the figures of each label.

    Args:
        found: One for each photo, down to a low score.
        rule: At the thresholds; the curves of precision are of all candidates.
    """
    scores, labels, hits = _joined(found, photos)
    _, reported, right = _joined([rule.decide(each) for each in found], photos)
    truth = np.concatenate([photo.labels for photo in photos])
    return [
        _label(
            label,
            scores[labels == label],
            hits[labels == label],
            int((truth == label).sum()),
            right[reported == label],
        )
        for label in range(len(rule.score_thresholds))
    ]


def _joined(
    found: Sequence[Detections], photos: Sequence[Photo]
) -> tuple[FloatArray, IntArray, np.ndarray]:
    """Return scores, labels and which are true positives, over all photos."""
    right = [true_positives(d, photo) for d, photo in zip(found, photos, strict=True)]
    return (
        np.concatenate([d.scores for d in found]),
        np.concatenate([d.labels for d in found]),
        np.concatenate(right),
    )


def _label(
    label: int, scores: FloatArray, hits: np.ndarray, boxes: int, reported: np.ndarray
) -> LabelFigures:
    """Return the figures of one label; ``reported``: which defects are right."""
    order = np.argsort(-scores, kind="stable")
    right = hits[order].cumsum()
    recall = (right / max(1, boxes)).astype(np.float32)
    precision = (right / np.arange(1, len(order) + 1)).astype(np.float32)
    envelope = monotonous(precision)
    found = int(reported.sum())
    return LabelFigures(
        label,
        boxes,
        found,
        len(reported) - found,
        recall,
        envelope,
        average_precision(recall, envelope) if boxes else None,
    )


def match_photo(
    detections: Detections, photo: Photo, rule: DecisionRule
) -> MatchedPhoto:
    """Return one photo, its detections matched with its labels.

    Args:
        detections: Down to a low score.
    """
    kept = rule.decide(detections)
    right = true_positives(kept, photo)
    taken = np.zeros(len(photo.labels), bool)
    overlaps = iou(kept.boxes[right], photo.boxes)  # [R, G]
    for row, label in zip(overlaps, kept.labels[right], strict=True):
        taken[int(np.where(~taken & (photo.labels == label), row, -1).argmax())] = True
    return MatchedPhoto(photo, kept, right, ~taken)


def worst_photos(matched: Sequence[MatchedPhoto], most: int) -> list[MatchedPhoto]:
    """Return at most so many defective photos with faults, the worst first.

    Escapes first, then by missed boxes, then by all faults.
    """
    faulty = [one for one in matched if one.faults and not one.photo.is_good]
    faulty.sort(key=lambda one: (not one.escaped, -int(one.missed.sum()), -one.faults))
    return faulty[:most]


def alarmed_good_photos(matched: Sequence[MatchedPhoto]) -> list[MatchedPhoto]:
    """Return good photos with a detection, highest score first."""
    alarmed = [one for one in matched if one.photo.is_good and len(one.found)]
    return sorted(alarmed, key=lambda one: -float(one.found.scores.max()))


def confusion(matched: Sequence[MatchedPhoto], label_count: int) -> IntArray:
    """Return how often which label was reported as which.

    Boxes are matched by place, best score first; among several, the same label is
    preferred.

    Returns:
        ``[C + 1, C + 1]`` int64: row = as labelled, column = as reported; the last of
        each is "nothing".
    """
    table: IntArray = np.zeros((label_count + 1, label_count + 1), np.int64)
    for one in matched:
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


def factory_shares(metrics: Metrics) -> list[tuple[str, str]]:
    """Return name, and share with 95 % interval, of what the factory asks for."""
    return [
        ("defects found", share_text(metrics.recall, metrics.recall_interval)),
        (
            "right when reported",
            share_text(metrics.precision, metrics.precision_interval),
        ),
        (
            "defective parts escaped",
            share_text(metrics.escapes, metrics.escapes_interval),
        ),
        ("good parts alarmed", share_text(metrics.overkill, metrics.overkill_interval)),
    ]
