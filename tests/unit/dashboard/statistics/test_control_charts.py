"""Laney's p' chart and EWMA."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.statistics.control_charts import (
    binomial_sigma,
    ewma_chart,
    laney_chart,
)
from dashboard.statistics.rates import Rate
from tests.examples import example_count

groups = st.lists(
    st.integers(0, 500).flatmap(
        lambda n: st.builds(Rate, st.integers(0, n), st.just(n))
    ),
    max_size=40,
)


def draws(seed: int, rate: float, n: int, count: int) -> list[Rate]:
    rng = random.Random(seed)
    return [Rate(sum(rng.random() < rate for _ in range(n)), n) for _ in range(count)]


def test_chart_of_three_groups_is_the_one_computed_by_hand() -> None:
    # p = 45 / 300 = 0.15 and s = sqrt(0.15 * 0.85 / 100) = 0.0357071 in each group;
    # z = -1.400280, 1.400280, 0; ranges 2.800560 and 1.400280, mean 2.100420;
    # sigma_z = 2.100420 / 1.128 = 1.862074; 3 s sigma_z = 0.199468.
    chart = laney_chart([Rate(10, 100), Rate(20, 100), Rate(15, 100)])
    assert chart.center == pytest.approx(0.15)
    assert chart.sigma_z == pytest.approx(1.862074, abs=1e-6)
    first, second, third = chart.points
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.low == 0  # 0.15 - 0.199468 is below
    assert first.high == pytest.approx(0.349468, abs=1e-6)
    assert second.sigmas == pytest.approx(1.400280 / 1.862074, abs=1e-6)
    assert third.sigmas == pytest.approx(0, abs=1e-12)


@given(groups)
@settings(max_examples=example_count(100), deadline=None)
def test_limits_are_those_of_the_binomial_chart_times_sigma_z(
    rates: list[Rate],
) -> None:
    chart = laney_chart(rates)
    for rate, point in zip(rates, chart.points, strict=True):
        assert (point is None) == (rate.n == 0)
        if point is None or point.high is None or chart.center is None:
            continue
        assert chart.sigma_z is not None
        reach = 3 * binomial_sigma(chart.center, rate.n) * chart.sigma_z
        assert point.high == pytest.approx(min(1, chart.center + reach))
        assert point.low == pytest.approx(max(0, chart.center - reach))


def test_independent_parts_give_the_binomial_chart() -> None:
    chart = laney_chart(draws(1, 0.05, 400, 300))
    assert chart.sigma_z == pytest.approx(1, abs=0.08)
    assert chart.center is not None
    point = chart.points[0]
    assert point is not None
    reach = 3 * math.sqrt(chart.center * (1 - chart.center) / 400)
    assert point.high == pytest.approx(chart.center + reach, rel=0.05)


def test_rate_that_varies_from_group_to_group_widens_the_limits() -> None:
    rng = random.Random(2)
    rates = [draws(i, rng.uniform(0.01, 0.09), 2000, 1)[0] for i in range(100)]
    chart = laney_chart(rates)
    assert chart.sigma_z is not None
    assert chart.sigma_z > 3
    beyond = [p for p in chart.points if p and p.sigmas and abs(p.sigmas) > 3]
    assert len(beyond) <= 3
    assert chart.center is not None
    binomial = 3 * binomial_sigma(chart.center, 2000)
    alarms = [r for r in rates if abs(r.count / r.n - chart.center) > binomial]
    assert len(alarms) > 50  # what the plain p chart makes of the same parts


@pytest.mark.parametrize("rates", [[], [Rate(0, 0)], [Rate(0, 0), Rate(0, 0)]])
def test_without_parts_there_is_no_center(rates: list[Rate]) -> None:
    for chart in (laney_chart(rates), ewma_chart(rates)):
        assert chart.center is None
        assert chart.sigma_z is None
        assert chart.points == (None,) * len(rates)


@pytest.mark.parametrize(
    "rates",
    [[Rate(3, 50)], [Rate(0, 50), Rate(0, 60)], [Rate(50, 50), Rate(60, 60)]],
    ids=["one group", "no defects", "defects only"],
)
def test_without_spread_there_are_no_limits(rates: list[Rate]) -> None:
    for chart in (laney_chart(rates), ewma_chart(rates)):
        assert chart.center is not None
        assert all(
            point is not None and point.low is point.high is point.sigmas is None
            for point in chart.points
        )


def test_equal_groups_have_the_limits_of_the_handbook() -> None:
    rates = draws(3, 0.1, 200, 60)
    laney, chart = laney_chart(rates), ewma_chart(rates, 0.3)
    assert laney.center is not None
    assert laney.sigma_z is not None
    s = binomial_sigma(laney.center, 200) * laney.sigma_z
    value = laney.center
    for i, (rate, point) in enumerate(zip(rates, chart.points, strict=True), 1):
        value = 0.3 * rate.count / rate.n + 0.7 * value
        assert point is not None
        assert point.value == pytest.approx(value)
        reach = 3 * s * math.sqrt(0.3 / 1.7 * (1 - 0.7 ** (2 * i)))
        assert point.high == pytest.approx(laney.center + reach)


def test_averages_are_those_of_the_handbook() -> None:
    # NIST 6.3.2.4: lambda 0.3, target 50; here as hundredths of 10,000 parts, and one
    # more group in front that makes 50 the mean of all.
    data = [52, 47, 53, 49.3, 50.1, 47, 51, 50.1, 51.2, 50.5]
    expected = [50.60, 49.52, 50.56, 50.18, 50.16, 49.21, 49.75, 49.85, 50.26, 50.33]
    rates = [Rate(round(each * 100), 10_000) for each in data]
    missing = 5000 * len(rates) - sum(each.count for each in rates)
    chart = ewma_chart([*rates, Rate(5000 + missing, 10_000)], 0.3)
    assert chart.center == pytest.approx(0.5)
    found = [point.value * 100 for point in chart.points if point]
    assert found[:10] == pytest.approx(expected, abs=0.0051)


def test_small_lasting_change_is_found_by_ewma_alone() -> None:
    rates = [*draws(4, 0.05, 400, 60), *draws(5, 0.068, 400, 20)]
    beyond = {
        chart.__name__: [
            i
            for i, point in enumerate(chart(rates).points)
            if point and point.high is not None and point.value > point.high
        ]
        for chart in (laney_chart, ewma_chart)
    }
    assert beyond["ewma_chart"]
    assert min(beyond["ewma_chart"]) >= 60
    assert len(beyond["laney_chart"]) < len(beyond["ewma_chart"])
