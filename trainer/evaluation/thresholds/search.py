"""The best thresholds of all classes together, under a limit that couples them.

A good part is alarmed when any class fires, so one class pays for another: opening a
class on a part that is alarmed anyway costs nothing. Each class has a ladder of
thresholds, from closed to open. From several starts, two classes at a time are moved
to the best pair of rungs, all others kept, until no pair gains: for two classes that is
the optimum, for more nearly always (compared with trying everything in
tests/unit/trainer/test_threshold_search.py).

What all pairs of rungs would do is one two-dimensional histogram: a photo stays silent
at rungs ``(i, j)`` when its first rung is beyond both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from models.boxes import FloatArray, IntArray

RANDOM_STARTS = 6
SEED = 0


@dataclass(frozen=True, slots=True)
class ThresholdCandidates:
    """One class's thresholds to choose from.

    Attributes:
        thresholds: ``[L]`` float32, descending: from closed to open.
        right: ``[L]`` labelled boxes found at each.
        wrong: ``[L]`` detections at each that are not right.
        good: ``[G]`` for each good photo the first rung that alarms it; L = none.
        bad: ``[D]`` for each defective photo the first rung that reports anything.
    """

    thresholds: FloatArray
    right: IntArray
    wrong: IntArray
    good: IntArray
    bad: IntArray


@dataclass(frozen=True, slots=True)
class CandidateCounts:
    """What rungs would do, element by element.

    Attributes:
        right: Labelled boxes found.
        wrong: Detections that are not right.
        alarmed: Good photos with a detection.
        escaped: Defective photos without one.
    """

    right: IntArray
    wrong: IntArray
    alarmed: IntArray
    escaped: IntArray


Goal = Callable[[CandidateCounts], IntArray]


def best_rungs(ladders: Sequence[ThresholdCandidates], goal: Goal) -> list[int]:
    """Return a rung for each ladder.

    Args:
        ladders: One for each class, all of the same photos.
        goal: Higher is better; element by element.
    """
    padded = [*ladders, _nothing(ladders[0])] if len(ladders) == 1 else list(ladders)
    found = [_climb(padded, start, goal) for start in _starts(padded)]
    best = max(found, key=lambda rungs: int(goal(tally(padded, rungs))))
    return best[: len(ladders)]


def tally(
    ladders: Sequence[ThresholdCandidates], rungs: Sequence[int]
) -> CandidateCounts:
    """Return what one rung for each ladder does.

    Args:
        ladders: One for each class.
        rungs: One for each ladder.
    """
    pairs = list(zip(ladders, rungs, strict=True))
    fired = [np.array([one.good <= rung for one, rung in pairs]).any(axis=0)]
    fired += [np.array([one.bad <= rung for one, rung in pairs]).any(axis=0)]
    return CandidateCounts(
        np.array(sum(int(one.right[rung]) for one, rung in pairs)),
        np.array(sum(int(one.wrong[rung]) for one, rung in pairs)),
        np.array(int(fired[0].sum())),
        np.array(int((~fired[1]).sum())),
    )


def _nothing(like: ThresholdCandidates) -> ThresholdCandidates:
    """Return a class that never fires: company for a class that is alone."""
    none = np.zeros(1, np.int64)
    return ThresholdCandidates(
        np.ones(1, np.float32),
        none,
        none,
        np.ones_like(like.good),
        np.ones_like(like.bad),
    )


def _starts(ladders: Sequence[ThresholdCandidates]) -> list[list[int]]:
    """Return where to climb from: closed, open, and a few by chance."""
    sizes = [len(ladder.thresholds) for ladder in ladders]
    rng = np.random.default_rng(SEED)
    chance = [[int(rng.integers(n)) for n in sizes] for _ in range(RANDOM_STARTS)]
    return [[0] * len(sizes), [n - 1 for n in sizes], *chance]


def _climb(
    ladders: Sequence[ThresholdCandidates], start: list[int], goal: Goal
) -> list[int]:
    """Move pairs of classes until none gains."""
    rungs = list(start)
    reached = int(goal(tally(ladders, rungs)))
    gained = True
    while gained:
        gained = False
        for a, b in combinations(range(len(ladders)), 2):
            values = goal(_pairs(ladders, rungs, a, b))  # [La, Lb]
            best = int(values.max())
            if best > reached:
                i, j = np.unravel_index(int(values.argmax()), values.shape)
                rungs[a], rungs[b] = int(i), int(j)
                reached, gained = best, True
    return rungs


def _pairs(
    ladders: Sequence[ThresholdCandidates], rungs: list[int], a: int, b: int
) -> CandidateCounts:
    """Return what every pair of rungs of two classes would do, the others kept."""
    first, second = ladders[a], ladders[b]
    others = [(ladders[c], r) for c, r in enumerate(rungs) if c not in {a, b}]
    right = sum(int(one.right[rung]) for one, rung in others)
    wrong = sum(int(one.wrong[rung]) for one, rung in others)
    quiet_good = np.ones(len(first.good), bool)
    quiet_bad = np.ones(len(first.bad), bool)
    for one, rung in others:
        quiet_good &= one.good > rung
        quiet_bad &= one.bad > rung
    shape = len(first.thresholds), len(second.thresholds)
    silent = _silent(first.good[quiet_good], second.good[quiet_good], shape)
    return CandidateCounts(
        right + first.right[:, None] + second.right,
        wrong + first.wrong[:, None] + second.wrong,
        len(first.good) - silent,
        _silent(first.bad[quiet_bad], second.bad[quiet_bad], shape),
    )


def _silent(first: IntArray, second: IntArray, shape: tuple[int, int]) -> IntArray:
    """Return for each pair of rungs how many photos neither fires on."""
    table = np.zeros((shape[0] + 1, shape[1] + 1), np.int64)
    np.add.at(table, (first, second), 1)
    beyond = table[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]
    result: IntArray = beyond[1:, 1:]
    return result
