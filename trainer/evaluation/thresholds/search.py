"""Finds thresholds for all classes together, under a limit that couples the classes.

A good part is alarmed when any class fires, so the classes share the limit: a second
class on a part that is alarmed anyway causes no further alarm. There are two ways:

* **Joint search.** Each class has candidates, from closed to open. From several starts,
  two classes at a time move to their best pair of candidates, all others kept, until no
  pair gains. For two classes that is the optimum, for more nearly always (compared with
  an exhaustive search in the unit test).
* **Shared shift.** The thresholds of the best F1 move together by one number. One
  number cannot be fitted to a few photos as six can: with few good parts, these
  thresholds alarm on about the same share of new good parts as on the validation
  photos.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from models.boxes import FloatArray, IntArray
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import true_positives

LOWEST_THRESHOLD = 0.1  # lower scores mean nothing; also keeps NMS cheap on the line
NEVER = 1.0
UNSEEN_THRESHOLD = 0.5  # of a class without any true positive: nothing to choose from
# Every pair of candidates of two classes is tried: the square of this at a time.
MAX_CANDIDATES = 256
DIGITS = 4  # thresholds are tried as they are stored
RANDOM_STARTS = 6
SEED = 0  # the same photos give the same thresholds
SMALLEST_SPAN = 1e-6  # avoids a division by 0 at a threshold that cannot move


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """One photo with its detections."""

    found: Detections  # detections down to a low score
    photo: Photo
    right: np.ndarray  # [N] bool, which detections are true positives


@dataclass(frozen=True, slots=True)
class ThresholdCandidates:
    """The thresholds of one class to choose from."""

    thresholds: FloatArray  # [L] float32, descending: from closed to open
    true_positives: IntArray  # [L] labelled boxes found at each
    false_positives: IntArray  # [L] other detections at each
    # [G] for each good photo the first candidate that alarms it; L where none does
    first_alarm: IntArray
    # [D] for each defective photo the first candidate that reports anything; L where
    # none does
    first_report: IntArray


@dataclass(frozen=True, slots=True)
class CandidateCounts:
    """The effect of combinations of candidates, element by element."""

    true_positives: IntArray  # labelled boxes found
    false_positives: IntArray  # other detections
    alarmed: IntArray  # good photos with a detection
    escaped: IntArray  # defective photos without one


Objective = Callable[[CandidateCounts], IntArray]  # higher is better


def score_images(
    found: Sequence[Detections], photos: Sequence[Photo]
) -> list[ScoredImage]:
    """Return photos with their detections, and which of these are right.

    Args:
        found: One for each photo, down to a low score.
    """
    return [
        ScoredImage(detections, photo, true_positives(detections, photo))
        for detections, photo in zip(found, photos, strict=True)
    ]


def highest_scores(images: Sequence[ScoredImage], label_count: int) -> FloatArray:
    """Return the highest score of each class on each photo, ``[N, C]``; 0 = none."""
    result: FloatArray = np.zeros((len(images), label_count), np.float32)
    for row, image in zip(result, images, strict=True):
        np.maximum.at(row, image.found.labels, image.found.scores)
    return result


def by_kind(
    images: Sequence[ScoredImage],
) -> tuple[list[ScoredImage], list[ScoredImage]]:
    """Return good and defective photos."""
    good = [image for image in images if image.photo.is_good]
    return good, [image for image in images if not image.photo.is_good]


# Candidates


def overkill_candidates(
    images: Sequence[ScoredImage], label_count: int, allowed: int
) -> list[ThresholdCandidates]:
    """Return for each class one threshold for each number of good parts alarmed.

    Only the highest scores on good parts matter: between two of them the threshold
    falls to the last true positive.

    Args:
        allowed: Good parts that may be alarmed; no candidate alarms more.
    """

    def tried(
        scores: FloatArray, right: np.ndarray, good: FloatArray, _: FloatArray
    ) -> list[float]:
        floors = np.unique(good)[::-1][: allowed + 1].tolist()
        floors = [floor for floor in floors if floor >= LOWEST_THRESHOLD]
        if len(floors) <= allowed:
            floors.append(0.0)  # so few good parts fire that the class may open wholly
        return [value for floor in floors for value in _above(floor, scores, right)]

    return _candidates(images, label_count, tried)


def escape_candidates(
    images: Sequence[ScoredImage], label_count: int
) -> list[ThresholdCandidates]:
    """Return for each class the thresholds at which one more defective part is caught.

    Only the highest score on each defective part matters.
    """

    def tried(
        scores: FloatArray, _right: np.ndarray, _good: FloatArray, defective: FloatArray
    ) -> list[float]:
        catching = np.unique(defective)
        catching = catching[catching >= LOWEST_THRESHOLD].tolist()
        return [*(_halfway_down(one, scores) for one in catching), LOWEST_THRESHOLD]

    return _candidates(images, label_count, tried)


def settled(
    images: Sequence[ScoredImage],
    candidates: Sequence[ThresholdCandidates],
    indices: Sequence[int],
    f1_thresholds: FloatArray,
) -> FloatArray:
    """Return the thresholds at indices; closed classes open without further alarms.

    A class without a true positive at its candidate would never fire on new parts. It
    gets the lowest threshold from its best F1 on that alarms no further good part.

    Args:
        images: The photos that the candidates were made from.
        candidates: One for each class.
        indices: One for each class.
        f1_thresholds: ``[C]`` from ``best_f1``.

    Returns:
        ``[C]`` float32, as stored.
    """
    pairs = list(zip(candidates, indices, strict=True))
    result = np.array([one.thresholds[index] for one, index in pairs], np.float32)
    good_scores = highest_scores(by_kind(images)[0], len(pairs))
    for label, (one, index) in enumerate(pairs):
        if one.true_positives[index]:
            continue
        quiet = ~(good_scores >= result).any(axis=1)
        highest = float(good_scores[quiet, label].max(initial=0))
        is_known = bool(one.true_positives.any())
        least = f1_thresholds[label] if is_known else UNSEEN_THRESHOLD
        wanted = float(least) if highest < least else (highest + NEVER) / 2
        result[label] = min(float(result[label]), round(wanted, DIGITS))
    return result


def _candidates(
    images: Sequence[ScoredImage],
    label_count: int,
    tried: Callable[[FloatArray, np.ndarray, FloatArray, FloatArray], list[float]],
) -> list[ThresholdCandidates]:
    """Return the candidates of each class.

    Args:
        tried: Returns the thresholds of a class to try, from its scores, ascending,
            which of them are true positives, and its highest score on each good and on
            each defective photo.
    """
    good, defective = (highest_scores(k, label_count) for k in by_kind(images))
    candidates = []
    for label in range(label_count):
        highest = good[:, label], defective[:, label]
        scores, right = _scores_of(images, label)
        thresholds = _as_stored([NEVER, *tried(scores, right, *highest)])
        candidates.append(_counted(thresholds, scores, right, *highest))
    return candidates


def _scores_of(
    images: Sequence[ScoredImage], label: int
) -> tuple[FloatArray, np.ndarray]:
    scores = [image.found.scores[image.found.labels == label] for image in images]
    right = [image.right[image.found.labels == label] for image in images]
    joined, hits = np.concatenate(scores), np.concatenate(right)
    order = np.argsort(joined, kind="stable")
    return joined[order], hits[order]


def _above(floor: float, scores: FloatArray, right: np.ndarray) -> list[float]:
    """Return thresholds that keep every true positive above a floor."""
    kept = scores[right & (scores > floor) & (scores >= LOWEST_THRESHOLD)]
    if not len(kept):
        return []
    # The halfway point may round down to the floor: then the next stored value keeps
    # the good part silent.
    just_above = float(np.floor(floor * 10**DIGITS) + 1) / 10**DIGITS
    return [_halfway_down(float(kept[0]), scores), just_above]


def _halfway_down(score: float, ascending: FloatArray) -> float:
    """Return a threshold halfway between a score and the next lower one.

    A part that scores a little lower than this one is still reported.
    """
    index = int(np.searchsorted(ascending, np.float32(score)))
    following = float(ascending[index - 1]) if index else 0.0
    return (score + following) / 2


def _as_stored(thresholds: Sequence[float]) -> FloatArray:
    """Return thresholds rounded as they are stored, each once, from closed to open."""
    rounded = np.round(np.clip(thresholds, LOWEST_THRESHOLD, NEVER), DIGITS)
    unique = np.unique(rounded)[::-1]
    if len(unique) > MAX_CANDIDATES:
        even = np.linspace(0, len(unique) - 1, MAX_CANDIDATES)
        unique = unique[even.round().astype(int)]
    result: FloatArray = unique.astype(np.float32)
    return result


def _counted(
    thresholds: FloatArray,
    scores: FloatArray,
    right: np.ndarray,
    good_scores: FloatArray,
    defective_scores: FloatArray,
) -> ThresholdCandidates:
    """Return thresholds of a class with what each of them does."""
    hits = np.sort(scores[right])
    misses = np.sort(scores[~right])
    return ThresholdCandidates(
        thresholds,
        len(hits) - np.searchsorted(hits, thresholds),
        len(misses) - np.searchsorted(misses, thresholds),
        (thresholds[:, None] > good_scores).sum(axis=0),  # [G]
        (thresholds[:, None] > defective_scores).sum(axis=0),  # [D]
    )


# Joint search


def search(
    candidates: Sequence[ThresholdCandidates], objective: Objective
) -> list[int]:
    """Return the index of the best candidate for each class.

    Args:
        candidates: One for each class, all counted on the same photos.
        objective: Maximized.
    """
    classes = list(candidates)
    if len(classes) == 1:  # the search moves pairs
        classes.append(_never_fires(classes[0]))
    found = [_climb(classes, start, objective) for start in _starts(classes)]
    best = max(found, key=lambda indices: int(objective(count_at(classes, indices))))
    return best[: len(candidates)]


def count_at(
    candidates: Sequence[ThresholdCandidates], indices: Sequence[int]
) -> CandidateCounts:
    """Return what one candidate for each class does."""
    pairs = list(zip(candidates, indices, strict=True))
    alarmed = np.array([one.first_alarm <= index for one, index in pairs]).any(axis=0)
    reported = np.array([one.first_report <= index for one, index in pairs]).any(axis=0)
    return CandidateCounts(
        np.array(sum(int(one.true_positives[index]) for one, index in pairs)),
        np.array(sum(int(one.false_positives[index]) for one, index in pairs)),
        np.array(int(alarmed.sum())),
        np.array(int((~reported).sum())),
    )


def _never_fires(like: ThresholdCandidates) -> ThresholdCandidates:
    """Return a class with one candidate that never fires, for the same photos."""
    zero = np.zeros(1, np.int64)
    return ThresholdCandidates(
        np.ones(1, np.float32),
        zero,
        zero,
        np.ones_like(like.first_alarm),
        np.ones_like(like.first_report),
    )


def _starts(candidates: Sequence[ThresholdCandidates]) -> list[list[int]]:
    """Return where to climb from: all closed, all open, and random indices."""
    sizes = [len(one.thresholds) for one in candidates]
    rng = np.random.default_rng(SEED)
    drawn = [[int(rng.integers(n)) for n in sizes] for _ in range(RANDOM_STARTS)]
    return [[0] * len(sizes), [n - 1 for n in sizes], *drawn]


def _climb(
    candidates: Sequence[ThresholdCandidates], start: list[int], objective: Objective
) -> list[int]:
    """Move pairs of classes until no pair gains."""
    indices = list(start)
    reached = int(objective(count_at(candidates, indices)))
    gained = True
    while gained:
        gained = False
        for a, b in combinations(range(len(candidates)), 2):
            values = objective(_count_pairs(candidates, indices, a, b))  # [La, Lb]
            best = int(values.max())
            if best > reached:
                i, j = np.unravel_index(int(values.argmax()), values.shape)
                indices[a], indices[b] = int(i), int(j)
                reached, gained = best, True
    return indices


def _count_pairs(
    candidates: Sequence[ThresholdCandidates], indices: list[int], a: int, b: int
) -> CandidateCounts:
    """Return what every pair of candidates of two classes does, the others kept."""
    first, second = candidates[a], candidates[b]
    others = [(candidates[c], i) for c, i in enumerate(indices) if c not in {a, b}]
    hits = sum(int(one.true_positives[index]) for one, index in others)
    misses = sum(int(one.false_positives[index]) for one, index in others)
    quiet_good = np.ones(len(first.first_alarm), bool)
    quiet_defective = np.ones(len(first.first_report), bool)
    for one, index in others:
        quiet_good &= one.first_alarm > index
        quiet_defective &= one.first_report > index
    shape = len(first.thresholds), len(second.thresholds)
    silent_good = _silent(
        first.first_alarm[quiet_good], second.first_alarm[quiet_good], shape
    )
    silent_defective = _silent(
        first.first_report[quiet_defective], second.first_report[quiet_defective], shape
    )
    return CandidateCounts(
        hits + first.true_positives[:, None] + second.true_positives,
        misses + first.false_positives[:, None] + second.false_positives,
        len(first.first_alarm) - silent_good,
        silent_defective,
    )


def _silent(first: IntArray, second: IntArray, shape: tuple[int, int]) -> IntArray:
    """Return how many photos each pair of candidates does not fire on, ``[La, Lb]``.

    A photo stays silent at ``(i, j)`` when the first candidates that fire on it lie
    beyond both: a two-dimensional histogram, summed from its far corner.
    """
    table = np.zeros((shape[0] + 1, shape[1] + 1), np.int64)
    np.add.at(table, (first, second), 1)
    beyond = table[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]
    result: IntArray = beyond[1:, 1:]
    return result


# Best F1, and its shared shift


def best_f1(images: Sequence[ScoredImage], label_count: int) -> FloatArray:
    """Return the threshold of the best F1 for each class.

    Returns:
        ``[C]`` float32; ``UNSEEN_THRESHOLD`` for a class without box or detection.
    """
    scores = np.concatenate([image.found.scores for image in images])
    labels = np.concatenate([image.found.labels for image in images])
    right = np.concatenate([image.right for image in images])
    truth = np.concatenate([image.photo.labels for image in images])
    result = np.full(label_count, UNSEEN_THRESHOLD, np.float32)
    for label in range(label_count):
        mine = labels == label
        order = np.argsort(-scores[mine], kind="stable")
        hits = right[mine][order].cumsum()
        boxes = int((truth == label).sum())
        if len(order) == 0 or boxes == 0:
            continue
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + boxes)
        result[label] = _between(scores[mine][order], int(f1.argmax()))
    return result.clip(LOWEST_THRESHOLD, NEVER)


def shift_thresholds(thresholds: FloatArray, shift: float) -> FloatArray:
    """Return thresholds moved together.

    Args:
        thresholds: ``[C]`` float32.
        shift: 0 leaves them, 1 moves all to ``NEVER``, -1 to ``LOWEST_THRESHOLD``.
    """
    up, down = NEVER - thresholds, thresholds - LOWEST_THRESHOLD
    moved: FloatArray = thresholds + (up if shift >= 0 else down) * np.float32(shift)
    return moved


def firing_shifts(scores: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Return the largest shift at which each photo still has a detection.

    Args:
        scores: ``[N, C]`` from ``highest_scores``.
        thresholds: ``[C]`` at shift 0.

    Returns:
        ``[N]`` float32; below -1 where no shift reaches.
    """
    up = np.maximum(NEVER - thresholds, SMALLEST_SPAN)
    down = np.maximum(thresholds - LOWEST_THRESHOLD, SMALLEST_SPAN)
    distance = scores - thresholds
    result: FloatArray = np.where(distance >= 0, distance / up, distance / down).max(
        axis=1
    )
    return result


def shift_for_alarms(shifts: FloatArray, allowed: int) -> float:
    """Return the shift at which the allowed good photos fire, midway to one more.

    Args:
        shifts: ``[G]`` from ``firing_shifts`` of the good photos.
        allowed: Good photos that may fire.
    """
    ordered = np.sort(np.clip(shifts, -1, 1))[::-1]
    if len(ordered) <= allowed:
        return -1.0
    following = ordered[allowed]
    # None allowed: half a gap above the highest, not half the way to 1. At 2 % of 75
    # good parts and six classes (made-up scores) that finds 0.69 instead of 0.58 of the
    # defects, at 2.3 % of unseen good parts alarmed instead of 1.3 %.
    last = ordered[allowed - 1] if allowed else min(1.0, _mirrored(ordered))
    return float((last + following) / 2)


def shift_for_escapes(shifts: FloatArray, allowed: int) -> float:
    """Return the shift at which the allowed defective photos stay silent.

    Args:
        shifts: ``[D]`` from ``firing_shifts`` of the defective photos.
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
