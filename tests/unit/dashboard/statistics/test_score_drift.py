"""Drift of the scores against a baseline."""

import math
import random

import pytest

from dashboard.statistics.score_drift import BINS, bin_of, drift


def histogram(seed: int, mean: float, count: int) -> list[int]:
    rng = random.Random(seed)
    counts = [0] * BINS
    for _ in range(count):
        counts[bin_of(rng.gauss(mean, 0.1))] += 1
    return counts


@pytest.mark.parametrize(
    ("score", "expected"), [(0, 0), (0.049, 0), (0.05, 1), (0.999, 19), (1, 19)]
)
def test_score_is_in_its_bin(score: float, expected: int) -> None:
    assert bin_of(score) == expected


def test_index_is_the_one_computed_by_hand() -> None:
    # Shares (60.5, 40.5) / 101 and (50.5, 50.5) / 101:
    # 0.0990099 ln(60.5 / 50.5) + -0.0990099 ln(40.5 / 50.5) = 0.0178873 + 0.0218453
    found = drift([60, 40], [50, 50])
    expected = 10 / 101 * (math.log(60.5 / 50.5) - math.log(40.5 / 50.5))
    assert found.index == pytest.approx(expected)
    assert found.index == pytest.approx(0.03974, abs=5e-5)
    assert (found.n, found.baseline_n) == (100, 100)


def test_same_distribution_has_not_shifted() -> None:
    found = drift(histogram(1, 0.8, 2000), histogram(2, 0.8, 5000))
    assert found.index is not None
    assert found.index < 0.1
    assert not found.has_shifted


def test_lower_scores_have_shifted() -> None:
    found = drift(histogram(1, 0.7, 2000), histogram(2, 0.8, 5000))
    assert found.index is not None
    assert found.index > 0.25
    assert found.has_shifted


def test_few_scores_are_noise() -> None:
    exceeding, seeds = 0, 200
    for seed in range(seeds):
        found = drift(histogram(seed, 0.8, 40), histogram(1000 + seed, 0.8, 60))
        assert found.index is not None
        assert found.noise is not None
        exceeding += found.index > found.noise
    assert found.noise > 0.25  # type: ignore[operator]
    assert exceeding / seeds <= 0.08


@pytest.mark.parametrize(("now", "before"), [([0], [0]), ([0], [1]), ([1], [0])])
def test_without_scores_there_is_no_index(now: list[int], before: list[int]) -> None:
    found = drift(now, before)
    assert found.index is None
    assert not found.has_shifted
