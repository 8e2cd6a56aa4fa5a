"""How thresholds are chosen under a limit, and what such a choice is worth.

Two ways: every class for itself, all searched together (finds most), or all classes
moved by one number (fits least to the photos at hand). What a way is worth is counted
on photos that had no say: chosen on four fifths, counted on the fifth.

Measured on made-up scores of 60 defective and 75 good parts, none of the 75 alarmed
more than 2 %: of 600 new good parts one class alarmed 2.8 %, three 5.1 %, six 6.7 %;
moved by one number 2.9 %, 3.1 %, 3.2 %, at a recall lower by 0, 6 and 10 points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray, IntArray
from models.manifest import ThresholdRule
from trainer.evaluation.thresholds.candidates import (
    DIGITS,
    ScoredImage,
    escape_ladders,
    overkill_ladders,
    peaks,
    settled,
)
from trainer.evaluation.thresholds.search import CandidateCounts, Goal, best_rungs
from trainer.evaluation.thresholds.shift import (
    best_f1,
    shift_for_alarms,
    shift_for_escapes,
    shift_of,
    shifted,
)

FOLDS = 5
STRICTNESSES = 4  # of a cautious choice: from none allowed to all that the limit allows
# One unit of the first aim outweighs all of the second, and so on: a lexicographic
# order in one whole number. Counts of boxes stay below a million.
FIRST, SECOND, THIRD = 10**14, 10**8, 10**5


@dataclass(frozen=True, slots=True)
class SelectionRule:
    """One way to choose.

    Attributes:
        rule: ``OVERKILL`` or ``ESCAPES``.
        share: Of the photos concerned that may be alarmed, or escape.
        together: All classes are moved by one number.
    """

    rule: ThresholdRule
    share: float
    together: bool = False

    def concerns(self, one: ScoredImage) -> bool:
        """Return whether the rule counts a photo: good ones, or defective ones.

        Args:
            one: The photo.
        """
        return one.photo.is_good is (self.rule is ThresholdRule.OVERKILL)


def allowed_of(share: float, count: int) -> int:
    """Return how many of so many may be.

    >>> allowed_of(0.29, 100)
    29
    """
    return int(share * count + 1e-9)


def chosen(
    seen: Sequence[ScoredImage], label_count: int, choice: SelectionRule
) -> FloatArray:
    """Return the thresholds of a choice.

    Args:
        seen: Photos to choose on.
        label_count: C.
        choice: The way.

    Returns:
        ``[C]`` float32, rounded as stored.
    """
    base = best_f1(seen, label_count)
    concerned = [one for one in seen if choice.concerns(one)]
    allowed = round(choice.share * len(concerned))
    overkill = choice.rule is ThresholdRule.OVERKILL
    if choice.together:
        shifts = shift_of(peaks(concerned, label_count), base)
        find = shift_for_alarms if overkill else shift_for_escapes
        moved = shifted(base, find(shifts, allowed))
        result: FloatArray = np.round(moved, DIGITS).astype(np.float32)
        return result
    if overkill:
        ladders, goal = overkill_ladders(seen, label_count, allowed), _most(allowed)
    else:
        ladders, goal = escape_ladders(seen, label_count), _quietest(allowed)
    return settled(seen, ladders, best_rungs(ladders, goal), base)


def _most(allowed: int) -> Goal:
    """Return the goal of most boxes found while few enough good parts are alarmed."""

    def goal(tally: CandidateCounts) -> IntArray:
        excess = np.maximum(0, tally.alarmed - allowed)
        gained = tally.right * SECOND - tally.escaped * THIRD - tally.wrong
        result: IntArray = gained - excess * FIRST
        return result

    return goal


def _quietest(allowed: int) -> Goal:
    """Return the goal of fewest alarms while few enough defective parts escape.

    Where nothing reaches the limit, as few escape as can be.
    """

    def goal(tally: CandidateCounts) -> IntArray:
        excess = np.maximum(0, tally.escaped - allowed)
        cost = excess * FIRST + tally.alarmed * SECOND
        result: IntArray = tally.right - tally.wrong - cost
        return result

    return goal


def errors(
    seen: Sequence[ScoredImage], scores: FloatArray, rule: ThresholdRule
) -> tuple[int, int]:
    """Return how many good parts are alarmed, or defective ones escape; of how many.

    Args:
        seen: Photos to count on.
        scores: ``[C]`` thresholds.
        rule: Which of the two.
    """
    concerned = [one for one in seen if SelectionRule(rule, 0).concerns(one)]
    fired = int((peaks(concerned, len(scores)) >= scores).any(axis=1).sum())
    total = len(concerned)
    return (fired if rule is ThresholdRule.OVERKILL else total - fired), total


def cross_checked(
    seen: Sequence[ScoredImage], label_count: int, choice: SelectionRule
) -> int | None:
    """Return the errors counted on each fifth, thresholds chosen on the rest.

    Args:
        seen: Photos.
        label_count: C.
        choice: The way.

    Returns:
        None where there are not five defective photos and five that are concerned.
    """
    kinds = [
        [one for one in seen if one.photo.is_good is good] for good in (True, False)
    ]
    concerned = kinds[0] if choice.rule is ThresholdRule.OVERKILL else kinds[1]
    if min(len(concerned), len(kinds[1])) < FOLDS:
        return None
    for kind in kinds:
        kind.sort(key=lambda one: one.photo.sha256)
    found = 0
    for fold in range(FOLDS):
        held = [one for kind in kinds for one in kind[fold::FOLDS]]
        taken = {id(one) for one in held}
        rest = [one for one in seen if id(one) not in taken]
        found += errors(held, chosen(rest, label_count, choice), choice.rule)[0]
    return found


def cautious(
    seen: Sequence[ScoredImage], label_count: int, rule: ThresholdRule, share: float
) -> SelectionRule:
    """Return the way that finds most among those that keep the limit cross-checked.

    Where none keeps it, the one with the fewest errors. Too few photos for a
    cross-check: none allowed, all classes together.

    Args:
        seen: Photos.
        label_count: C.
        rule: ``OVERKILL`` or ``ESCAPES``.
        share: The limit.
    """
    count = sum(SelectionRule(rule, share).concerns(one) for one in seen)
    allowed = allowed_of(share, count)
    some = np.unique(np.linspace(0, allowed, STRICTNESSES).round()) / max(1, count)
    ways = [
        SelectionRule(rule, float(s), together=together)
        for s in some
        for together in (True, False)
    ]
    best, best_key = ways[0], None
    for way in ways:
        crossed = cross_checked(seen, label_count, way)
        if crossed is None:
            return ways[0]
        key = (-max(0, crossed - allowed), _worth(seen, label_count, way), -crossed)
        if best_key is None or key > best_key:
            best, best_key = way, key
    return best


def _worth(
    seen: Sequence[ScoredImage], label_count: int, choice: SelectionRule
) -> float:
    """Return what one wants of a way that keeps its limit.

    Under a limit of overkill the boxes found, under one of escapes few alarms and,
    where no part is good, few wrong detections.
    """
    scores = chosen(seen, label_count, choice)
    kept = [one.found.scores >= scores[one.found.labels] for one in seen]
    right = sum(
        int((one.right & keep).sum()) for one, keep in zip(seen, kept, strict=True)
    )
    if choice.rule is ThresholdRule.OVERKILL:
        return right
    alarmed, _ = errors(seen, scores, ThresholdRule.OVERKILL)
    return 2 * right - sum(int(keep.sum()) for keep in kept) - alarmed * SECOND
