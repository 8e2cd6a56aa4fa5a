"""Thresholds of the best F1, and all of them moved together by one number.

One number cannot be fitted to a few photos as six can: where good parts are few, moved
thresholds alarm about as many new good parts as they did on the photos that chose them.
"""

from collections.abc import Sequence

import numpy as np

from models.boxes import FloatArray
from trainer.evaluation.thresholds.candidates import (
    LOWEST_THRESHOLD,
    NEVER,
    ScoredImage,
)

SMALLEST_SPAN = 1e-6


def best_f1(seen: Sequence[ScoredImage], label_count: int) -> FloatArray:
    """Return the threshold of the best F1 for each class.

    Args:
        seen: Photos.
        label_count: C.

    Returns:
        ``[C]`` float32; one half where there is nothing to choose from.
    """
    scores = np.concatenate([one.found.scores for one in seen])
    labels = np.concatenate([one.found.labels for one in seen])
    right = np.concatenate([one.right for one in seen])
    truth = np.concatenate([one.photo.labels for one in seen])
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


def shifted(thresholds: FloatArray, shift: float) -> FloatArray:
    """Return thresholds moved together: 0 stays, 1 is never, -1 the lowest useful.

    Args:
        thresholds: ``[C]`` float32.
        shift: -1..1.
    """
    up, down = NEVER - thresholds, thresholds - LOWEST_THRESHOLD
    moved: FloatArray = thresholds + (up if shift >= 0 else down) * np.float32(shift)
    return moved


def shift_of(peaks: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Return the largest shift at which each photo still has a detection.

    Args:
        peaks: ``[N, C]`` highest score of each class.
        thresholds: ``[C]`` at shift 0.

    Returns:
        ``[N]`` float32; below -1 where no shift reaches.
    """
    up = np.maximum(NEVER - thresholds, SMALLEST_SPAN)
    down = np.maximum(thresholds - LOWEST_THRESHOLD, SMALLEST_SPAN)
    distance = peaks - thresholds
    result: FloatArray = np.where(distance >= 0, distance / up, distance / down).max(
        axis=1
    )
    return result


def shift_for_alarms(shifts: FloatArray, allowed: int) -> float:
    """Return the shift at which so many good photos fire, midway to one more.

    Where none may fire, the shift lies half a gap above the highest.

    Args:
        shifts: ``[G]`` from ``shift_of`` good photos.
        allowed: Good photos that may fire.
    """
    ordered = np.sort(np.clip(shifts, -1, 1))[::-1]
    if len(ordered) <= allowed:
        return -1.0
    following = ordered[allowed]
    last = ordered[allowed - 1] if allowed else min(1.0, _mirrored(ordered))
    return float((last + following) / 2)


def shift_for_escapes(shifts: FloatArray, allowed: int) -> float:
    """Return the shift at which so many defective photos stay silent.

    Args:
        shifts: ``[D]`` from ``shift_of`` defective photos.
        allowed: Defective photos that may stay silent.
    """
    ordered = np.sort(np.clip(shifts, -1, 1))
    if len(ordered) <= allowed:
        return 1.0
    caught = ordered[allowed]
    before = ordered[allowed - 1] if allowed else max(-1.0, _mirrored(ordered))
    return float((caught + before) / 2)


def _mirrored(ordered: FloatArray) -> float:
    """Return what lies as far beyond the first value as the second lies behind it."""
    return float(2 * ordered[0] - ordered[1]) if len(ordered) > 1 else float(ordered[0])


def _between(descending: FloatArray, last: int) -> float:
    """Return a threshold halfway between the last score kept and the next one."""
    following = descending[last + 1] if last + 1 < len(descending) else 0.0
    return float((descending[last] + following) / 2)
