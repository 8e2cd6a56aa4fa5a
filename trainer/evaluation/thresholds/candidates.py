"""What thresholds are worth trying for each class, and what each would do.

Under a limit of overkill only the highest scores on good parts matter: between two of
them the threshold falls to the last right detection. Under a limit of escapes it is the
highest score on each defective part. A threshold lies halfway to the next lower score,
so that a part that is a little different is still judged the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.thresholds.search import ThresholdCandidates

LOWEST_THRESHOLD = 0.1  # below, a score says nothing; also keeps NMS cheap on the line
NEVER = 1.0
UNSEEN_THRESHOLD = 0.5  # of a class of which nothing right was seen
MOST_RUNGS = 256  # for each class; pairs of rungs are all tried
DIGITS = 4  # as stored: what is tried is what is written


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """One photo with what was found on it.

    Attributes:
        found: Detections down to a low score.
        photo: With the ground truth.
        right: ``[N]`` bool, which detections are right.
    """

    found: Detections
    photo: Photo
    right: np.ndarray


def peaks(seen: Sequence[ScoredImage], label_count: int) -> FloatArray:
    """Return each photo's highest score for each class.

    Args:
        seen: Photos.
        label_count: C.

    Returns:
        ``[N, C]`` float32; 0 where there is no detection.
    """
    result: FloatArray = np.zeros((len(seen), label_count), np.float32)
    for row, one in zip(result, seen, strict=True):
        np.maximum.at(row, one.found.labels, one.found.scores)
    return result


def overkill_ladders(
    seen: Sequence[ScoredImage], label_count: int, allowed: int
) -> list[ThresholdCandidates]:
    """Return for each class one threshold for each number of good parts alarmed.

    Args:
        seen: Photos.
        label_count: C.
        allowed: Good parts that may be alarmed; no ladder goes further.
    """
    good, bad = _by_kind(seen)
    good_peaks, bad_peaks = peaks(good, label_count), peaks(bad, label_count)
    ladders = []
    for label in range(label_count):
        scores, right = _of_label(seen, label)
        floors = np.unique(good_peaks[:, label])[::-1][: allowed + 1].tolist()
        floors = [floor for floor in floors if floor >= LOWEST_THRESHOLD]
        if len(floors) <= allowed:
            floors.append(0.0)  # so few good parts fire that it may open wholly
        tried = [_above(float(floor), scores, right) for floor in floors]
        rungs = _descending([NEVER, *(one for pair in tried for one in pair)])
        ladders.append(
            _ladder(rungs, scores, right, good_peaks[:, label], bad_peaks[:, label])
        )
    return ladders


def escape_ladders(
    seen: Sequence[ScoredImage], label_count: int
) -> list[ThresholdCandidates]:
    """Return for each class the thresholds at which one more defective part is caught.

    Args:
        seen: Photos.
        label_count: C.
    """
    good, bad = _by_kind(seen)
    good_peaks, bad_peaks = peaks(good, label_count), peaks(bad, label_count)
    ladders = []
    for label in range(label_count):
        scores, right = _of_label(seen, label)
        caught = np.unique(bad_peaks[:, label])
        tried = [
            _halfway_down(float(score), scores)
            for score in caught[caught >= LOWEST_THRESHOLD]
        ]
        rungs = _descending([NEVER, *tried, LOWEST_THRESHOLD])
        ladders.append(
            _ladder(rungs, scores, right, good_peaks[:, label], bad_peaks[:, label])
        )
    return ladders


def settled(
    seen: Sequence[ScoredImage],
    ladders: Sequence[ThresholdCandidates],
    rungs: Sequence[int],
    best_f1: FloatArray,
) -> FloatArray:
    """Return the thresholds of rungs; closed classes open where that costs nothing.

    A class that gained nothing here is not told never to fire: it gets the lowest
    threshold from its best F1 on that alarms no further good part. One of which nothing
    right was seen stays at one half or above.

    Args:
        seen: Photos.
        ladders: One for each class.
        rungs: One for each ladder.
        best_f1: ``[C]`` thresholds of the best F1.

    Returns:
        ``[C]`` float32, as stored.
    """
    pairs = list(zip(ladders, rungs, strict=True))
    result = np.array([one.thresholds[rung] for one, rung in pairs], np.float32)
    good_peaks = peaks(_by_kind(seen)[0], len(pairs))
    for label, (ladder, rung) in enumerate(pairs):
        if ladder.right[rung]:
            continue
        quiet = ~(good_peaks >= result).any(axis=1)
        highest = float(good_peaks[quiet, label].max(initial=0))
        least = best_f1[label] if ladder.right.any() else UNSEEN_THRESHOLD
        wanted = float(least) if highest < least else (highest + NEVER) / 2
        result[label] = min(float(result[label]), round(wanted, DIGITS))
    return result


def _by_kind(
    seen: Sequence[ScoredImage],
) -> tuple[list[ScoredImage], list[ScoredImage]]:
    """Return good and defective photos."""
    good = [one for one in seen if one.photo.is_good]
    return good, [one for one in seen if not one.photo.is_good]


def _of_label(seen: Sequence[ScoredImage], label: int) -> tuple[FloatArray, np.ndarray]:
    """Return all scores of a class, ascending, and which are right."""
    scores = [one.found.scores[one.found.labels == label] for one in seen]
    right = [one.right[one.found.labels == label] for one in seen]
    joined, hits = np.concatenate(scores), np.concatenate(right)
    order = np.argsort(joined, kind="stable")
    return joined[order], hits[order]


def _above(floor: float, scores: FloatArray, right: np.ndarray) -> list[float]:
    """Return thresholds that keep every right detection above a floor.

    Halfway down to the next score, and just above the floor where that is closer than
    the digits that are stored.
    """
    kept = scores[right & (scores > floor) & (scores >= LOWEST_THRESHOLD)]
    if not len(kept):
        return []
    just_above = float(np.floor(floor * 10**DIGITS) + 1) / 10**DIGITS
    return [_halfway_down(float(kept[0]), scores), just_above]


def _halfway_down(score: float, ascending: FloatArray) -> float:
    """Return a threshold halfway between a score and the next lower one."""
    index = int(np.searchsorted(ascending, np.float32(score)))
    following = float(ascending[index - 1]) if index else 0.0
    return (score + following) / 2


def _descending(thresholds: Sequence[float]) -> FloatArray:
    """Return thresholds as they are stored, each once, from closed to open."""
    rounded = np.round(np.clip(thresholds, LOWEST_THRESHOLD, NEVER), DIGITS)
    unique = np.unique(rounded)[::-1]
    if len(unique) > MOST_RUNGS:
        unique = unique[np.linspace(0, len(unique) - 1, MOST_RUNGS).round().astype(int)]
    result: FloatArray = unique.astype(np.float32)
    return result


def _ladder(
    thresholds: FloatArray,
    scores: FloatArray,
    right: np.ndarray,
    good: FloatArray,
    bad: FloatArray,
) -> ThresholdCandidates:
    """Return what each threshold of a class does."""
    hits = np.sort(scores[right])
    misses = np.sort(scores[~right])
    return ThresholdCandidates(
        thresholds,
        len(hits) - np.searchsorted(hits, thresholds),
        len(misses) - np.searchsorted(misses, thresholds),
        (thresholds[:, None] > good).sum(axis=0),  # [G]
        (thresholds[:, None] > bad).sum(axis=0),  # [D]
    )
