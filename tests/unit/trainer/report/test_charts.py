"""Charts as inline SVG."""

import re

import numpy as np
import pytest

from trainer.report.charts import Axis, Band, LineSeries, histogram, line_chart


def test_chart_stays_inside_its_frame() -> None:
    line = LineSeries("a", np.array([0, 1, 2]), np.array([-1, 0.5, 9]))
    chart = line_chart([line], Axis("x"), Axis("y"))
    path = re.search(r'class="line s0" d="M([^"]+)"', chart)
    assert path
    points = [tuple(map(float, p.split())) for p in path[1].split("L")]
    assert all(0 <= x <= 560 and 0 <= y <= 330 for x, y in points)
    assert len(points) == 3


@pytest.mark.parametrize("high", [1e-6, 0.7, 1, 3, 12.6, 30, 400])
def test_axis_has_a_few_round_ticks(high: float) -> None:
    ticks = Axis("loss", high, percent=False).ticks()
    assert 3 <= len(ticks) <= 6
    assert ticks[0] == 0
    assert ticks[-1] <= high * 1.001


def test_line_that_continues_another_is_dashed_and_not_in_the_legend() -> None:
    x = np.array([0, 1])
    lines = [
        LineSeries("measured", x, x / 2),
        LineSeries("", x, x / 4, continues=True),
        LineSeries("goal", x, x),
    ]
    chart = line_chart(lines, Axis("x"), Axis("y"))
    assert 'class="line s0 dashed"' in chart
    assert 'class="line s1"' in chart
    assert chart.count("<li>") == 2


def test_band_follows_the_upper_bounds_and_returns_along_the_lower_ones() -> None:
    band = Band.between(2, np.array([1, 2]), np.array([[0, 3], [1, 4]]))
    assert band.x.tolist() == [1, 2, 2, 1]
    assert band.y.tolist() == [3, 4, 1, 0]


def test_histogram_stacks_the_bars_of_one_place_and_marks_a_value() -> None:
    kinds = [("old", np.array([0.01, 0.01, 1.0])), ("new", np.array([0.012]))]
    chart = histogram(kinds, Axis("score", percent=False), "photos", (0.9, "limit"))
    bars = re.findall(
        r'class="bar (s\d)" x="([\d.]+)" y="([\d.]+)".*?height="([\d.]+)"', chart
    )
    (old, x, top, _), (_, last, _, _), (new, x_new, top_new, height_new) = bars
    assert (old, new, x) == ("s0", "s1", x_new)
    assert float(top_new) + float(height_new) == pytest.approx(float(top), abs=0.2)
    assert float(last) > float(x)  # a value at the end of the axis is in the last bar
    assert 'text-anchor="end">limit</text>' in chart  # left of its line: there is room
    assert '<i class="key s1"></i>new <span>1</span>' in chart
