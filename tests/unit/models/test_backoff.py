"""Pauses between attempts."""

import pytest

from models.backoff import Backoff


def steady() -> float:
    """Return the chance that changes no pause."""
    return 0.5


def test_pauses_double_up_to_the_limit_and_start_again_after_a_reset() -> None:
    pauses = Backoff(1, 5, steady)
    assert [pauses.next_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    assert pauses.failures == 5
    pauses.reset()
    assert pauses.failures == 0
    assert pauses.next_s() == 1


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 1.0), (1.0, 3.0)])
def test_pauses_are_changed_by_chance_by_up_to_half(
    chance: float, expected: float
) -> None:
    assert Backoff(2, 10, lambda: chance).next_s() == expected


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 1.0), (1.0, 2.0)])
def test_shares_can_be_given(chance: float, expected: float) -> None:
    assert Backoff(2, 10, lambda: chance, (0.5, 1.0)).next_s() == expected


def test_without_a_random_source_pauses_are_exact() -> None:
    pauses = Backoff(0.25, 5, None)
    assert [pauses.next_s() for _ in range(6)] == [0.25, 0.5, 1, 2, 4, 5]


def test_lower_limit_holds_for_one_pause_and_does_not_stop_the_growth() -> None:
    pauses = Backoff(1, 30, None)
    assert pauses.next_s(at_most_s=1) == 1
    assert pauses.next_s(at_most_s=1) == 1
    assert pauses.next_s() == 4
