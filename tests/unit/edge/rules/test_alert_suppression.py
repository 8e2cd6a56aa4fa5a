"""After an alert, more of its kind is counted and not reported."""

import pytest

from edge.rules.alert_suppression import AlertSuppression

S = 1_000_000_000


def test_without_a_cool_down_every_alert_is_reported() -> None:
    rule = AlertSuppression(0)
    assert [rule.admit("rim", "dent", 5) for _ in range(4)] == [0, 0, 0, 0]


def test_next_alert_has_the_number_of_suppressed_ones() -> None:
    rule = AlertSuppression(10)
    answers = [rule.admit("rim", "dent", t * S) for t in (0, 1, 9, 10, 11, 19, 20, 40)]
    assert answers == [0, None, None, 2, None, None, 2, 0]


def test_continuous_defect_is_reported_once_a_window() -> None:
    rule = AlertSuppression(10)
    answers = [rule.admit("", "dent", t * S) for t in range(100)]
    reported = [t for t, answer in enumerate(answers) if answer is not None]
    assert reported == list(range(0, 100, 10))
    assert sum(answer + 1 for answer in answers if answer is not None) == 91


@pytest.mark.parametrize("other", [("rim", "scratch"), ("face", "dent")])
def test_another_label_or_region_has_its_own_cool_down(other: tuple[str, str]) -> None:
    rule = AlertSuppression(10)
    assert rule.admit("rim", "dent", 0) == 0
    assert rule.admit(*other, S) == 0
    assert rule.admit("rim", "dent", 2 * S) is None
