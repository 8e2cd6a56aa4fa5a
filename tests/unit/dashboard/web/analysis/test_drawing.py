"""Shapes of the charts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.plant_time import MS_PER_HOUR, UTC_TIME, Span
from dashboard.statistics.control_charts import laney_chart
from dashboard.statistics.rates import Rate
from dashboard.statistics.run_rules import Rule, Violation
from dashboard.web.analysis.drawing import (
    HEAT_SHADES,
    HEIGHT,
    HISTOGRAM_WIDTH,
    WIDTH,
    AxisTexts,
    LineChart,
    histogram,
    line_chart,
    nice_scale,
    shade_of,
)

TEXTS = AxisTexts(",", lambda ms: f"{ms // MS_PER_HOUR % 24:02}:00", lambda _: "30.")


def draw(*rates: Rate, marks_ms: tuple[int, ...] = ()) -> LineChart | None:
    spans = [Span(i * MS_PER_HOUR, (i + 1) * MS_PER_HOUR) for i in range(len(rates))]
    broken = [Violation(0, Rule.ONE_BEYOND_3, is_high=True)]
    return line_chart(laney_chart(rates), spans, marks_ms, broken, UTC_TIME, TEXTS)


@given(st.floats(1e-9, 1))
def test_axis_ends_above_the_highest_value_with_few_labels(most: float) -> None:
    end, step = nice_scale(most)
    assert end >= most
    assert 1 <= round(end / step) <= 6


def test_axis_of_nothing_has_a_length() -> None:
    end, step = nice_scale(0)
    assert end > step > 0


def test_group_without_parts_is_a_gap_in_the_line() -> None:
    chart = draw(Rate(1, 9), Rate(2, 9), Rate(0, 0), Rate(1, 9))
    assert chart is not None
    assert [len(points.split()) for points in chart.lines] == [2, 1]
    assert [len(points.split()) for points in chart.high] == [4, 2]


def test_chart_without_parts_is_not_drawn() -> None:
    assert draw(Rate(0, 0), Rate(0, 0)) is None


def test_single_group_has_no_limits_but_a_point() -> None:
    chart = draw(Rate(1, 9))
    assert chart is not None
    assert (chart.low, chart.high) == ((), ())
    assert len(chart.lines) == 1


def test_points_that_break_a_rule_and_changes_of_models_are_marked() -> None:
    marks = (MS_PER_HOUR, 5 * MS_PER_HOUR, -1)
    chart = draw(Rate(1, 9), Rate(2, 9), Rate(3, 9), marks_ms=marks)
    assert chart is not None
    assert len(chart.dots) == 1
    assert len(chart.marks) == 1  # the others are outside


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(50, 90)), min_size=1))
def test_every_shape_is_within_the_chart(counts: list[tuple[int, int]]) -> None:
    chart = draw(*(Rate(k, n) for k, n in counts))
    assert chart is not None
    for points in (*chart.lines, *chart.low, *chart.high):
        for point in points.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


@pytest.mark.parametrize("hours", [1, 8, 24, 25, 48, 49, 24 * 30, 24 * 400])
def test_time_axis_has_some_labels_at_most_a_dozen(hours: int) -> None:
    spans = [Span(0, hours * MS_PER_HOUR // 2), Span(hours, hours * MS_PER_HOUR)]
    chart = line_chart(
        *(laney_chart([Rate(1, 9), Rate(2, 9)]), spans, (), (), UTC_TIME, TEXTS)
    )
    assert chart is not None
    assert 1 <= len(chart.x_ticks) <= 9


def test_labels_of_an_axis_differ() -> None:
    for most in (1, 0.31, 0.043, 0.0021, 0.00004):
        chart = draw(Rate(0, 10**7), Rate(round(most * 10**7), 10**7))
        assert chart is not None
        texts = [tick.text for tick in chart.y_ticks]
        assert len(set(texts)) == len(texts), texts
        assert "." not in "".join(texts)


def test_histograms_show_shares() -> None:
    found = histogram([0, 0, 3, 1], [0, 0, 0, 8], ",")
    assert found is not None
    assert len(found.bars) == 2  # the empty ones in front are left out
    first, last = found.bars
    assert first.now_y < last.now_y
    assert last.before_y < first.before_y
    assert last.x + last.width <= HISTOGRAM_WIDTH


def test_histogram_without_a_baseline_has_no_outline() -> None:
    found = histogram([1, 2], [0, 0], ",")
    assert found is not None
    assert found.outline == ""
    assert histogram([0, 0], [0, 0], ",") is None


@pytest.mark.parametrize(
    ("count", "shade"), [(1, 1), (20, 1), (21, 2), (100, HEAT_SHADES), (0, 1)]
)
def test_shade_grows_with_the_count(count: int, shade: int) -> None:
    assert shade_of(count, 100) == shade
