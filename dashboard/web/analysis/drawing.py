"""Shapes of the charts that the server draws: plain numbers for the templates. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dashboard.plant_time import MS_PER_HOUR, PlantTime, Span
from dashboard.statistics.control_charts import Chart, ChartPoint
from dashboard.statistics.run_rules import Violation

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 58, 26, 12, 28  # room for half a label at the right
HISTOGRAM_WIDTH = 480  # half a page: the same size of its labels
TICKS = 4
HEAT_SHADES = 5
TIME_TICKS_MAX = 8
HOURS_BETWEEN = (1, 2, 3, 6)

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class AxisTexts:
    """How labels of axes are written.

    Attributes:
        time: Returns the time of day of a moment, UTC in milliseconds.
        day: Returns the day of a moment, without its year.
    """

    decimal_mark: str
    time: Callable[[int], str]
    day: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis, at its place in pixels."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A point that breaks a rule."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class LineChart:
    """A line over time with its limits, in pixels of ``WIDTH`` x ``HEIGHT``.

    Attributes:
        lines: One for each run of groups without a gap: points of an SVG polyline.
        low: Lower limit, in steps.
        high: Upper limit.
        center_y: Place of the center line; None without one.
        dots: Points that break a rule.
        marks: Where models changed.
    """

    lines: tuple[str, ...]
    low: tuple[str, ...]
    high: tuple[str, ...]
    center_y: float | None
    dots: tuple[Dot, ...]
    marks: tuple[float, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def line_chart(
    chart: Chart,
    spans: Sequence[Span],
    marks_ms: Sequence[int],
    broken: Sequence[Violation],
    plant: PlantTime,
    texts: AxisTexts,
) -> LineChart | None:
    """Return a control chart as shapes; None where it has no points.

    Args:
        spans: Those of the points.
        marks_ms: Changes of models, UTC.
    """
    values = [
        value
        for point in chart.points
        if point
        for value in (point.value, point.high, chart.center)
        if value is not None
    ]
    if not values:
        return None
    top, step = nice_scale(max(values))
    start_ms, end_ms = spans[0].start_ms, spans[-1].end_ms

    def x(ms: float) -> float:
        share = (ms - start_ms) / (end_ms - start_ms)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 1)

    middles = [x((each.start_ms + each.end_ms) / 2) for each in spans]
    points = [
        (at, y(point.value)) if point else None
        for at, point in zip(middles, chart.points, strict=True)
    ]
    dots = dict.fromkeys(points[each.index] for each in broken)
    return LineChart(
        lines=_runs(points),
        low=_steps(chart.points, spans, x, y, is_high=False),
        high=_steps(chart.points, spans, x, y, is_high=True),
        center_y=y(chart.center) if chart.center is not None else None,
        dots=tuple(Dot(*each) for each in dots if each),
        marks=tuple(x(ms) for ms in marks_ms if start_ms <= ms < end_ms),
        x_ticks=_time_ticks(plant, start_ms, end_ms, x, texts),
        y_ticks=tuple(
            Tick(y(n * step), _percent(n * step, step, texts.decimal_mark))
            for n in range(math.floor(top / step + 1e-9) + 1)
        ),
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """A bin of a histogram, in pixels.

    Attributes:
        now_y: Top of the bar of the scores now.
        before_y: Height of the line of the scores before.
    """

    x: float
    width: float
    now_y: float
    before_y: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """Two histograms on one axis, in pixels of ``HISTOGRAM_WIDTH`` x ``HEIGHT``."""

    bars: tuple[Bar, ...]
    outline: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = HISTOGRAM_WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = HISTOGRAM_WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def histogram(
    now: Sequence[int], before: Sequence[int], decimal_mark: str
) -> Histogram | None:
    """Return two histograms of shares as shapes; None where both are empty."""
    used = [i for i, pair in enumerate(zip(now, before, strict=True)) if any(pair)]
    if not used:
        return None
    first, bins = used[0], len(now)
    shares = [
        [count / (sum(counts) or 1) for count in counts[first:]]
        for counts in (now, before)
    ]
    top, step = nice_scale(max(max(each) for each in shares))
    width = (HISTOGRAM_WIDTH - LEFT - RIGHT) / (bins - first)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 1)

    bars = tuple(
        Bar(round(LEFT + i * width, 1), round(width, 1), y(one), y(other))
        for i, (one, other) in enumerate(zip(*shares, strict=True))
    )
    outline = " ".join(
        f"{each.x},{each.before_y} {round(each.x + each.width, 1)},{each.before_y}"
        for each in bars
    )
    every = max(1, math.ceil((bins - first) / TIME_TICKS_MAX))
    return Histogram(
        bars,
        outline if sum(before) else "",
        tuple(
            Tick(
                round(LEFT + (i - first) * width, 1),
                _percent(i / bins, 1 / bins, decimal_mark),
            )
            for i in range(first, bins + 1, every)
        ),
        tuple(
            Tick(y(n * step), _percent(n * step, step, decimal_mark))
            for n in range(math.floor(top / step + 1e-9) + 1)
        ),
    )


def nice_scale(most: float, ticks: int = TICKS) -> tuple[float, float]:
    """Return the end of an axis of shares from 0, and the step between its labels.

    >>> nice_scale(0.043)
    (0.06, 0.02)
    """
    if most <= 0:
        return 0.01, 0.005
    raw = most / ticks
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= raw)
    end = min(math.ceil(most * 1.02 / step) * step, 1)
    return round(end, 12), round(step, 12)


def shade_of(count: int, most: int) -> int:
    """Return the shade of a place of a heat map, 1 = few to ``HEAT_SHADES`` = most."""
    return max(1, math.ceil(count / most * HEAT_SHADES)) if most else 1


def _percent(value: float, step: float, decimal_mark: str) -> str:
    digits = max(0, -math.floor(math.log10(step * 100) + 1e-9))
    if round(step * 100, digits) != round(step * 100, digits + 1):
        digits += 1  # steps of 2.5
    return f"{value * 100:.{digits}f} %".replace(".", decimal_mark)


def _runs(points: Sequence[tuple[float, float] | None]) -> tuple[str, ...]:
    """Return the points of each line without a gap."""
    runs: list[list[str]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(f"{point[0]},{point[1]}")
    return tuple(" ".join(each) for each in runs if each)


def _steps(
    points: Sequence[ChartPoint | None],
    spans: Sequence[Span],
    x: Scale,
    y: Scale,
    *,
    is_high: bool,
) -> tuple[str, ...]:
    """Return a limit as a line of steps: it is another one for each group."""
    runs: list[list[str]] = [[]]
    for point, span in zip(points, spans, strict=True):
        limit = (point.high if is_high else point.low) if point else None
        if limit is None:
            runs.append([])
        else:
            height = y(limit)
            runs[-1] += [f"{x(span.start_ms)},{height}", f"{x(span.end_ms)},{height}"]
    return tuple(" ".join(each) for each in runs if each)


def _time_ticks(
    plant: PlantTime, start_ms: int, end_ms: int, x: Scale, texts: AxisTexts
) -> tuple[Tick, ...]:
    """Return labels at whole hours of a short span, or at midnights of a long one."""
    days = plant.days(Span(start_ms, end_ms))
    hours = (end_ms - start_ms) / MS_PER_HOUR
    if hours <= HOURS_BETWEEN[-1] * TIME_TICKS_MAX:
        between = next(n for n in HOURS_BETWEEN if hours <= n * TIME_TICKS_MAX)
        found = [
            at
            for day in days
            for at in range(
                plant.day_span(day).start_ms,
                plant.day_span(day).end_ms,
                between * MS_PER_HOUR,
            )
        ]
        text = texts.time
    else:
        every = math.ceil(len(days) / TIME_TICKS_MAX)
        found = [plant.day_span(day).start_ms for day in days[::every]]
        text = texts.day
    return tuple(Tick(x(at), text(at)) for at in found if start_ms <= at < end_ms)
