"""From what score on a detection counts: chosen on validation data, for each class.

With enough good parts the rule is the factory's: the highest recall at which at most
two good parts of a hundred are alarmed. With fewer, nothing can be said of good parts,
and each class gets its best F1.
"""

from collections.abc import Sequence

import numpy as np

from models.boxes import FloatArray
from models.detections import Detections
from models.manifest import ThresholdRule, Thresholds
from models.postprocess import IOU_THRESHOLD
from trainer.data.dataset import Photo
from trainer.judge.metrics import right_ones

OVERKILL_TARGET = 0.02
ENOUGH_GOOD = 30  # fewer good parts cannot show a share of 2 %
LOWEST_THRESHOLD = 0.1  # below, a score says nothing; also keeps NMS cheap on the line
NEVER = 1.0


def choose_thresholds(
    found: Sequence[Detections],
    photos: Sequence[Photo],
    labels: Sequence[str],
    split: str,
) -> Thresholds:
    """Return the thresholds for validation data.

    Args:
        found: One for each photo, from ``predict_photos``.
        photos: Validation photos with the ground truth.
        labels: Class names.
        split: Name of the set.
    """
    good = sum(photo.is_good for photo in photos)
    best_f1 = _best_f1(found, photos, len(labels))
    if good >= ENOUGH_GOOD:
        rule, target = ThresholdRule.OVERKILL, OVERKILL_TARGET
        scores = _within_overkill(found, photos, best_f1)
    else:
        rule, target, scores = ThresholdRule.BEST_F1, None, best_f1
    return Thresholds(
        scores={
            label: round(float(score), 4)
            for label, score in zip(labels, scores, strict=True)
        },
        iou_threshold=IOU_THRESHOLD,
        rule=rule,
        target=target,
        chosen_on=split,
        images=len(photos),
        good_images=good,
    )


def _best_f1(
    found: Sequence[Detections], photos: Sequence[Photo], label_count: int
) -> FloatArray:
    """Return the threshold of the best F1 for each class."""
    scores = np.concatenate([d.scores for d in found])
    labels = np.concatenate([d.labels for d in found])
    right = np.concatenate(
        [right_ones(d, photo) for d, photo in zip(found, photos, strict=True)]
    )
    truth = np.concatenate([photo.labels for photo in photos])
    result = np.full(label_count, 0.5, np.float32)
    for label in range(label_count):
        mine = labels == label
        order = np.argsort(-scores[mine], kind="stable")
        hits = right[mine][order].cumsum()
        boxes = int((truth == label).sum())
        if len(order) == 0 or boxes == 0:
            continue
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + boxes)
        best = int(f1.argmax())
        result[label] = _between(scores[mine][order], best)
    return result.clip(LOWEST_THRESHOLD, NEVER)


def _between(descending: FloatArray, last: int) -> float:
    """Return a threshold halfway between the last score kept and the next one."""
    following = descending[last + 1] if last + 1 < len(descending) else 0.0
    return float((descending[last] + following) / 2)


def _within_overkill(
    found: Sequence[Detections], photos: Sequence[Photo], best_f1: FloatArray
) -> FloatArray:
    """Return thresholds of high recall that alarm few enough good parts.

    One common shift of the best-F1 thresholds towards 1 is raised until the target
    holds; then each class alone goes down again as far as the target allows, the one
    first that gains most recall.
    """
    pairs = list(zip(found, photos, strict=True))
    good = [d for d, photo in pairs if photo.is_good]
    bad = [(d, photo) for d, photo in pairs if not photo.is_good]
    allowed = int(OVERKILL_TARGET * len(good))
    peaks = _peaks(good, len(best_f1))  # [G, C]
    thresholds = _raised(best_f1, peaks, allowed)
    steps = [_recall_steps(bad, label) for label in range(len(best_f1))]
    gains = [
        (_gain(steps[label], thresholds[label]), label) for label in range(len(best_f1))
    ]
    for _, label in sorted(gains, reverse=True):
        thresholds[label] = _lowered(thresholds, label, peaks, allowed, steps[label])
    return thresholds


def _peaks(good: Sequence[Detections], label_count: int) -> FloatArray:
    """Return each good photo's highest score for each class."""
    peaks = np.zeros((len(good), label_count), np.float32)
    for row, detections in zip(peaks, good, strict=True):
        np.maximum.at(row, detections.labels, detections.scores)
    return peaks


def _alarmed(peaks: FloatArray, thresholds: FloatArray) -> int:
    """Return how many good photos have a detection."""
    return int((peaks >= thresholds).any(axis=1).sum())


def _raised(best_f1: FloatArray, peaks: FloatArray, allowed: int) -> FloatArray:
    """Return the best-F1 thresholds moved together towards 1 until few are alarmed."""
    for shift in np.linspace(0, 1, 201, dtype=np.float32):
        thresholds: FloatArray = best_f1 + (NEVER - best_f1) * shift
        if _alarmed(peaks, thresholds) <= allowed:
            return thresholds
    return np.full_like(best_f1, NEVER)


def _recall_steps(bad: Sequence[tuple[Detections, Photo]], label: int) -> FloatArray:
    """Return the scores of right detections of a class, descending."""
    scores = [d.scores[right_ones(d, photo) & (d.labels == label)] for d, photo in bad]
    joined = np.concatenate(scores) if scores else np.zeros(0, np.float32)
    result: FloatArray = -np.sort(-joined)
    return result


def _gain(steps: FloatArray, threshold: float) -> int:
    """Return how many right detections lie below a threshold."""
    return int(((steps < threshold) & (steps >= LOWEST_THRESHOLD)).sum())


def _lowered(
    thresholds: FloatArray,
    label: int,
    peaks: FloatArray,
    allowed: int,
    steps: FloatArray,
) -> float:
    """Return the lowest useful threshold of one class, the others kept.

    Useful: just below a right detection, halfway to the next score of a good part.
    """
    trial = thresholds.copy()
    best = float(thresholds[label])
    for score in steps[(steps < best) & (steps >= LOWEST_THRESHOLD)]:
        below = peaks[:, label][peaks[:, label] < score]
        floor = max(LOWEST_THRESHOLD, float(below.max()) if len(below) else 0.0)
        trial[label] = max(floor + 1e-4, (float(score) + floor) / 2)
        if trial[label] > score or _alarmed(peaks, trial) > allowed:
            break
        best = float(trial[label])
    return best
