"""Western Electric's run rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.statistics.run_rules import Rule, Violation, violations

NONE = None
sigmas = st.lists(st.none() | st.floats(-5, 5), max_size=60)


@pytest.mark.parametrize(
    ("values", "rule", "indices"),
    [
        ([0.5, 3.1, 0], Rule.ONE_BEYOND_3, [1]),
        ([3.0], Rule.ONE_BEYOND_3, []),
        ([2.1, 0, 2.2], Rule.TWO_OF_3_BEYOND_2, [2]),
        ([2.1, 0, 0, 2.2], Rule.TWO_OF_3_BEYOND_2, []),
        ([2.1, 2.2, 0], Rule.TWO_OF_3_BEYOND_2, [1]),
        ([2.1, -2.2], Rule.TWO_OF_3_BEYOND_2, []),
        ([1.1, 1.2, 0, 1.3, 1.4], Rule.FOUR_OF_5_BEYOND_1, [4]),
        ([1.1, 1.2, 1.3, 1.4], Rule.FOUR_OF_5_BEYOND_1, [3]),
        ([1.1, 1.2, 0, 0, 1.3, 1.4], Rule.FOUR_OF_5_BEYOND_1, []),
        ([0.1] * 8, Rule.EIGHT_ON_ONE_SIDE, [7]),
        ([0.1] * 9, Rule.EIGHT_ON_ONE_SIDE, [7, 8]),
        ([0.1] * 7 + [-0.1] * 7, Rule.EIGHT_ON_ONE_SIDE, []),
        ([0.1] * 4 + [0.0] + [0.1] * 4, Rule.EIGHT_ON_ONE_SIDE, []),
        ([0.1] * 4 + [NONE] + [0.1] * 4, Rule.EIGHT_ON_ONE_SIDE, [8]),
    ],
)
def test_pattern_ends_at_these_points(
    values: list[float | None], rule: Rule, indices: list[int]
) -> None:
    expected = [Violation(index, rule, is_high=True) for index in indices]
    assert violations(values, [rule]) == expected


@given(sigmas)
def test_patterns_below_are_those_above_turned_over(
    values: list[float | None],
) -> None:
    turned = [None if each is None else -each for each in values]
    assert {(each.index, each.rule, each.is_high) for each in violations(values)} == {
        (each.index, each.rule, not each.is_high) for each in violations(turned)
    }


@given(sigmas, st.sets(st.sampled_from(list(Rule))))
def test_rule_that_is_switched_off_finds_nothing(
    values: list[float | None], rules: set[Rule]
) -> None:
    found = violations(values, rules)
    assert found == [each for each in violations(values) if each.rule in rules]


@given(sigmas)
def test_no_point_is_no_violation(values: list[float | None]) -> None:
    assert all(values[each.index] is not None for each in violations(values))
