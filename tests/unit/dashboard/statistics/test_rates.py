"""Rates and their intervals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dashboard.statistics.rates import (
    Rate,
    beta_share,
    clopper_pearson,
    difference,
    wilson,
)
from tests.examples import example_count

TENTHS = [(k, 10) for k in range(11)]
CASES = [*TENTHS, (0, 1), (1, 1), (1, 200_000), (3, 4000), (199_999, 200_000)]
rates = st.integers(1, 5000).flatmap(
    lambda n: st.builds(Rate, st.integers(0, n), st.just(n))
)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("count", "n"), CASES)
def test_intervals_are_those_of_scipy(count: int, n: int, confidence: float) -> None:
    reference = stats.binomtest(count, n)
    for interval, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        found = interval(Rate(count, n), confidence)
        expected = reference.proportion_ci(confidence, method)
        assert found is not None
        assert found.low == pytest.approx(expected.low, rel=1e-8, abs=1e-12)
        assert found.high == pytest.approx(expected.high, rel=1e-8, abs=1e-12)


@given(rates)
@settings(max_examples=example_count(100), deadline=None)
def test_rate_is_in_its_intervals_and_the_exact_one_is_wider_at_its_ends(
    rate: Rate,
) -> None:
    score, exact = wilson(rate), clopper_pearson(rate)
    assert score is not None
    assert exact is not None
    assert rate.value is not None
    for each in (score, exact):
        assert 0 <= each.low <= rate.value + 1e-12
        assert rate.value - 1e-12 <= each.high <= 1


@given(st.floats(0, 1), st.floats(0.5, 3000), st.floats(0.5, 3000))
@settings(max_examples=example_count(200), deadline=None)
def test_beta_share_is_that_of_scipy(x: float, a: float, b: float) -> None:
    assert beta_share(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), abs=1e-9)


def test_without_parts_there_is_no_rate_and_no_interval() -> None:
    nothing = Rate(0, 0)
    assert nothing.value is None
    assert wilson(nothing) is None
    assert clopper_pearson(nothing) is None
    assert difference(nothing, Rate(1, 2)) is None
    assert difference(Rate(1, 2), nothing) is None


@pytest.mark.parametrize(("count", "n"), [(-1, 2), (3, 2), (0, -1)])
def test_impossible_rate_is_refused(count: int, n: int) -> None:
    with pytest.raises(ValueError, match="no rate"):
        Rate(count, n)


@pytest.mark.parametrize(
    ("second", "first", "low", "high"),
    [
        # Newcombe (1998), table II, method 10.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_difference_has_the_published_interval(
    second: tuple[int, int], first: tuple[int, int], low: float, high: float
) -> None:
    found = difference(Rate(*first), Rate(*second))
    assert found is not None
    assert found.interval.low == pytest.approx(low, abs=5e-5)
    assert found.interval.high == pytest.approx(high, abs=5e-5)
    assert found.is_clear == (low > 0 or high < 0)


@given(rates, rates)
@settings(max_examples=example_count(100), deadline=None)
def test_difference_the_other_way_around_has_the_other_sign(
    one: Rate, other: Rate
) -> None:
    there, back = difference(one, other), difference(other, one)
    assert there is not None
    assert back is not None
    assert there.value == pytest.approx(-back.value)
    assert there.interval.low == pytest.approx(-back.interval.high)
    assert there.interval.low <= there.value <= there.interval.high
