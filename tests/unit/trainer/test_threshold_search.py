"""The joint search against trying everything, on made-up scores of 1 to 3 classes."""

from itertools import product

import numpy as np
import pytest

from models.boxes import IntArray
from trainer.evaluation.thresholds.search import (
    CandidateCounts,
    ThresholdCandidates,
    best_rungs,
    tally,
)

MANY = 10**9


def ladders_of(
    rng: np.random.Generator, classes: int, rungs: int
) -> list[ThresholdCandidates]:
    """Return random ladders of 24 good and 30 defective photos."""
    return [
        ThresholdCandidates(
            np.linspace(1, 0.1, rungs, dtype=np.float32),
            np.sort(rng.integers(0, 20, rungs)),
            np.sort(rng.integers(0, 9, rungs)),
            np.minimum(rng.geometric(0.2, 24) + rng.integers(1, rungs), rungs),
            rng.integers(0, rungs + 1, 30),
        )
        for _ in range(classes)
    ]


def most_found(allowed: int) -> object:
    def goal(tally: CandidateCounts) -> IntArray:
        excess = np.maximum(0, tally.alarmed - allowed)
        return np.asarray(tally.right * 100 - tally.wrong - excess * MANY)

    return goal


def fewest_alarms(allowed: int) -> object:
    def goal(tally: CandidateCounts) -> IntArray:
        excess = np.maximum(0, tally.escaped - allowed)
        return np.asarray(tally.right - tally.alarmed * 1000 - excess * MANY)

    return goal


def best_of_all(ladders: list[ThresholdCandidates], goal: object) -> int:
    every = product(*(range(len(one.thresholds)) for one in ladders))
    return max(int(goal(tally(ladders, rungs))) for rungs in every)  # type: ignore[operator]


@pytest.mark.parametrize("make_goal", [most_found, fewest_alarms])
@pytest.mark.parametrize(("classes", "rungs"), [(1, 12), (2, 12), (3, 7)])
def test_search_reaches_what_trying_everything_reaches(
    classes: int, rungs: int, make_goal: object
) -> None:
    for seed in range(25):
        rng = np.random.default_rng(seed)
        ladders = ladders_of(rng, classes, rungs)
        goal = make_goal(int(rng.integers(0, 4)))  # type: ignore[operator]
        chosen = best_rungs(ladders, goal)
        assert int(goal(tally(ladders, chosen))) == best_of_all(ladders, goal)


def test_class_that_fires_on_a_part_already_alarmed_is_opened_for_free() -> None:
    """Alone, neither class may spend the one alarm that both share."""
    rungs = np.array([1.0, 0.5], np.float32)
    good = np.array([1, 2, 2])  # the first part alarms at the second rung
    bad = np.array([1, 1])
    one = ThresholdCandidates(rungs, np.array([0, 3]), np.array([0, 0]), good, bad)
    assert best_rungs([one, one], most_found(1)) == [1, 1]  # type: ignore[arg-type]
    apart = ThresholdCandidates(
        rungs, np.array([0, 2]), np.array([0, 0]), good[::-1], bad
    )
    assert best_rungs([one, apart], most_found(1)) == [1, 0]  # type: ignore[arg-type]
