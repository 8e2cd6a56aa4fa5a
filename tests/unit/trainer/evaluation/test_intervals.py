"""Intervals of shares against published values."""

import pytest

from trainer.evaluation.intervals import (
    auroc_of,
    trials_to_show,
    upper_bound,
    wilson,
)


@pytest.mark.parametrize(
    ("hits", "trials", "expected"),
    # scipy.stats.binomtest(k, n).proportion_ci(...) one-sided, method "exact"
    [(0, 40, 0.0722), (1, 40, 0.1133), (5, 100, 0.1023), (39, 40, 0.9987)],
)
def test_bound_is_clopper_and_pearsons(hits: int, trials: int, expected: float) -> None:
    assert upper_bound(hits, trials) == pytest.approx(expected, abs=2e-4)


def test_bound_without_a_hit_has_a_closed_form() -> None:
    assert upper_bound(0, 75) == pytest.approx(1 - 0.05 ** (1 / 75), abs=1e-12)


def test_all_hits_or_no_trial_prove_nothing() -> None:
    assert upper_bound(3, 3) == 1
    assert upper_bound(0, 0) == 1


@pytest.mark.parametrize(
    ("share", "expected"), [(0.005, 598), (0.01, 299), (0.02, 149), (0.5, 5), (1, 1)]
)
def test_fewest_photos_that_show_a_share(share: float, expected: int) -> None:
    assert trials_to_show(share) == expected
    assert upper_bound(0, expected) <= share
    assert expected == 1 or share < upper_bound(0, expected - 1)


def test_interval_without_any_trial_is_the_whole_range() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_forty_photos_cannot_prove_half_a_percent() -> None:
    assert wilson(0, 40)[1] > 0.05


def test_wilson_matches_published_example() -> None:
    # Brown, Cai, DasGupta 2001: 15 of 50 gives 0.191 to 0.438
    low, high = wilson(15, 50)
    assert (round(low, 3), round(high, 3)) == (0.191, 0.438)


def test_area_of_a_perfect_order_still_has_an_interval() -> None:
    area = auroc_of([0.1] * 20, [0.9] * 20)
    assert area is not None
    assert area[0] == 1
    assert 0.8 < area[1][0] < 0.95
    assert area[1][1] == 1


def test_interval_of_an_area_narrows_with_more_parts() -> None:
    good, defective = [0.1, 0.3, 0.5], [0.2, 0.4, 0.6]
    few, many = auroc_of(good, defective), auroc_of(good * 20, defective * 20)
    assert few is not None
    assert many is not None
    assert few[0] == pytest.approx(many[0])
    assert few[1][0] < many[1][0] < many[0] < many[1][1] < few[1][1]
