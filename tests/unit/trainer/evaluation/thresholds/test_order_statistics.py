"""Promises on parts that were not seen, simulated over many draws."""

from collections.abc import Callable

import numpy as np
import pytest

from trainer.evaluation.thresholds.order_statistics import (
    at_most,
    just_above,
    parts_needed,
    promised_share,
    promised_unseen,
    rank_of,
    score_at,
    score_of_groups,
)

Draw = Callable[[np.random.Generator, int], np.ndarray]
DRAWS = 4000


def ties(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw one of four scores: most parts share theirs with others."""
    return np.asarray(rng.choice([0.1, 0.2, 0.5, 0.9], count, p=[0.7, 0.2, 0.07, 0.03]))


def heavy(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw mostly low scores, and a few that are as high as of defects."""
    low, high = rng.beta(1, 12, count), rng.beta(9, 2, count)
    return np.where(rng.random(count) < 0.03, high, low)


def float32(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw scores as a network gives them."""
    return np.asarray(rng.random(count, np.float32), np.float64)


@pytest.mark.parametrize("draw", [ties, heavy, float32])
@pytest.mark.parametrize(
    ("share", "parts"), [(0.02, 20), (0.02, 49), (0.02, 120), (0.3, 3), (0.5, 7)]
)
def test_promise_holds_on_average_over_many_draws(
    draw: Draw, share: float, parts: int
) -> None:
    rng = np.random.default_rng(0)
    rank = rank_of(share, parts)
    new = draw(rng, DRAWS)
    seen = draw(rng, DRAWS * parts).reshape(DRAWS, parts)
    thresholds = np.array([just_above(score_at(rank, one)) for one in seen])
    alarmed = (new >= thresholds).mean()
    promised = promised_share(rank, parts)
    assert alarmed <= promised + 3 * np.sqrt(promised / DRAWS)
    if draw is float32:  # without ties the promise is not only kept but reached
        assert alarmed == pytest.approx(promised, abs=3 * np.sqrt(promised / DRAWS))
    assert promised <= share or parts < parts_needed(share)


@pytest.mark.parametrize("draw", [ties, heavy, float32])
def test_promise_on_escapes_holds_with_negated_scores(draw: Draw) -> None:
    rng = np.random.default_rng(1)
    new = draw(rng, DRAWS)
    seen = draw(rng, DRAWS * 30).reshape(DRAWS, 30)
    rank = rank_of(0.1, 30)
    thresholds = np.array([at_most(-score_at(rank, -one)) for one in seen])
    assert (new < thresholds).mean() <= 0.1 + 0.01


@pytest.mark.parametrize("groups", [2, 6, 49, 120])
def test_promise_holds_for_a_part_of_a_group_that_was_not_seen(groups: int) -> None:
    """Each group shifts its scores; they have 1 to 12 parts."""
    rng, share = np.random.default_rng(2), 0.02
    alarmed = []
    for _ in range(600):
        sizes = rng.integers(1, 13, groups)
        names = np.repeat(np.arange(groups), sizes)
        shifts = rng.normal(0, 1, groups + 1)
        scores = 1 / (1 + np.exp(-rng.normal(shifts[names] - 3)))
        new = 1 / (1 + np.exp(-rng.normal(shifts[-1] - 3, size=10)))
        limit = score_of_groups(share, scores, names.tolist())
        alarmed.append((new >= just_above(limit)).mean())
    promised = promised_unseen(share, groups)
    assert np.mean(alarmed) <= promised + 0.01
    assert promised > 1 / (groups + 1)


def test_group_of_few_parts_weighs_as_much_as_one_of_many() -> None:
    scores = np.array([0.9] + [0.8] + [0.1] * 98)
    few = ["small"] + ["large"] * 99
    assert score_of_groups(0.4, scores, few) == 0.9  # 0.8 would alarm half of all
    assert score_of_groups(0.4, scores, ["one"] * 100) == 0.1


def test_parts_of_their_own_group_count_one_by_one() -> None:
    scores = np.random.default_rng(3).random(200)
    for share, exceeding in ((0.001, 0), (0.005, 1), (0.02, 4), (0.1, 20)):
        limit = score_of_groups(share, scores, list(range(200)))
        assert (scores > limit).sum() == exceeding


@pytest.mark.parametrize("share", [0.001, 0.005, 0.02, 0.1, 0.29, 1 / 3, 0.7, 1.0])
def test_needed_parts_are_the_fewest_that_promise_a_share(share: float) -> None:
    needed = parts_needed(share)
    assert promised_share(rank_of(share, needed), needed) <= share + 1e-9
    if needed:
        assert promised_share(rank_of(share, needed - 1), needed - 1) > share


def test_stored_thresholds_lie_on_their_side_of_every_score() -> None:
    scores = np.random.default_rng(4).random(2000).astype(np.float32)
    scores = np.concatenate((scores, scores.round(4), np.float32([0, 0.5, 1])))
    for score in scores.tolist():
        above, below = just_above(score), at_most(score)
        assert np.float32(score) < np.float32(above) <= score + 1.01e-4
        assert score - 1.01e-4 <= np.float32(below) <= np.float32(score)
        assert (above, below) == (round(above, 4), round(below, 4))
