"""Charts as inline SVG: no script, no font, no network, sharp when printed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Self

import numpy as np

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 14, 46
BARS = 40  # of a histogram
LEAST_COUNT = 5  # end of its vertical axis: with fewer the ticks would be fractions
MARK_COLOR = 4  # of its line
COLORS = 8  # series colours in report.css; more series repeat them, dashed


@dataclass(frozen=True, slots=True)
class LineSeries:
    """One line of a chart."""

    name: str
    x: np.ndarray  # [N] values
    y: np.ndarray  # [N] values
    note: str = ""  # short addition in the legend
    # dashed, continues the line before it beyond what was measured
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """An area where a line may lie."""

    line: int  # number of the line, for its colour
    x: np.ndarray  # [N] corners, once around
    y: np.ndarray  # [N] corners

    @classmethod
    def between(cls, line: int, x: np.ndarray, sides: np.ndarray) -> Self:
        """Return the area between low and high values.

        Args:
            x: ``[N]`` values.
            sides: ``[N, 2]`` low and high at each.
        """
        corners = np.concatenate((sides[:, 1], sides[::-1, 0]))
        return cls(line, np.concatenate((x, x[::-1])), corners)


@dataclass(frozen=True, slots=True)
class PointMark:
    """One point, with its intervals as a cross; its text is a tooltip."""

    text: str
    x: float
    y: float
    x_interval: tuple[float, float]
    y_interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis."""

    name: str
    high: float = 1.0  # its end; it starts at 0
    percent: bool = True  # write values, 0..1, in percent
    offset: float = 0.0  # added to what is written at the ticks

    def ticks(self) -> list[float]:
        """Return up to six round values."""
        raw = self.high / 5
        size = 10.0 ** np.floor(np.log10(raw))
        step = next(n * size for n in (1, 2, 5, 10) if n * size >= raw * 0.999)
        return [float(v) for v in np.arange(0, self.high * 1.001, step)]

    def text(self, value: float) -> str:
        """Return what is written at a tick."""
        shown = round(value + self.offset, 9)
        return f"{100 * shown:.0f} %" if self.percent else f"{shown:g}"


def line_chart(
    lines: Sequence[LineSeries],
    x_axis: Axis,
    y_axis: Axis,
    *,
    marks: Sequence[tuple[float, str, int]] = (),
    bands: Sequence[Band] = (),
    points: Sequence[PointMark] = (),
) -> str:
    """Return a chart with a legend.

    Args:
        lines: In the order of their colours.
        marks: Values on the horizontal axis with their tooltip and colour.
        bands: Drawn below the lines.
        points: Drawn above them.
    """
    named = [line for line in lines if not line.continues]
    names = ", ".join(line.name for line in named)
    description = escape(f"{y_axis.name} over {x_axis.name}: {names}")
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" ',
        f'aria-label="{description}">',
        *_grid(x_axis, y_axis),
        *(_band(band, x_axis, y_axis) for band in bands),
        *(mark(x_axis, *one) for one in marks),
        *(_path(n, line, x_axis, y_axis) for n, line in _numbered(lines)),
        *(_point(point, x_axis, y_axis) for point in points),
        "</svg>",
        legend([(line.name, line.note) for line in named]) if len(named) > 1 else "",
    ]
    return "".join(parts)


def histogram(
    kinds: Sequence[tuple[str, np.ndarray]],
    axis: Axis,
    counted: str,
    line: tuple[float, str],
) -> str:
    """Return stacked bars of how many values lie where, with a legend.

    Args:
        kinds: Name and ``[N]`` values of each, in the order of their colours.
        axis: The horizontal one.
        counted: Name of the vertical axis.
        line: Value that is marked, and the text beside its line.
    """
    edges = np.linspace(0, axis.high, BARS + 1)
    counts = [np.histogram(np.clip(v, 0, axis.high), edges)[0] for _, v in kinds]
    highest = float(max(LEAST_COUNT, np.sum(counts, axis=0).max()))
    y_axis = Axis(counted, highest, percent=False)
    floor = np.zeros(BARS)
    bars = []
    for number, count in enumerate(counts):
        rows = zip(edges[:-1], edges[1:], floor, floor + count, strict=True)
        bars += [
            _bar(number, x_place(axis, left), x_place(axis, right), *sides)
            for left, right, low, high in rows
            if high > low
            for sides in [(_y(y_axis, low), _y(y_axis, high), int(high - low))]
        ]
        floor = floor + count
    value, text = line
    x = x_place(axis, min(value, axis.high))
    side, anchor = (-6, "end") if value > axis.high / 2 else (6, "start")
    label = (
        f'<text class="name" x="{x + side:.1f}" y="{TOP + 10}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
    names = [(name, str(len(values))) for name, values in kinds]
    return "".join(
        [
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" ',
            f'aria-label="{escape(f"{counted} over {axis.name}")}">',
            *_grid(axis, y_axis),
            *bars,
            mark(axis, value, text, MARK_COLOR),
            label,
            "</svg>",
            legend(names) if len(names) > 1 else "",
        ]
    )


def _bar(
    number: int, left: float, right: float, bottom: float, top: float, count: int
) -> str:
    return (
        f'<rect class="bar {series(number)}" x="{left:.1f}" y="{top:.1f}" '
        f'width="{right - left:.1f}" height="{bottom - top:.1f}">'
        f"<title>{count}</title></rect>"
    )


def _numbered(lines: Sequence[LineSeries]) -> Iterator[tuple[int, LineSeries]]:
    """Yield lines with the number of their colour."""
    number = -1
    for line in lines:
        number += not line.continues
        yield number, line


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Return a legend from name and note of each line, in the order of the colours."""
    items = "".join(
        f'<li><i class="key {series(n)}"></i>{escape(name)}'
        f"{f' <span>{escape(note)}</span>' if note else ''}</li>"
        for n, (name, note) in enumerate(entries)
    )
    return f'<ul class="legend">{items}</ul>'


def series(number: int) -> str:
    """Return the CSS classes of a series: its colour, dashed when colours repeat."""
    return f"s{number % COLORS}" + (" dashed" if number >= COLORS else "")


def interval_bar(value: float, interval: tuple[float, float]) -> str:
    """Return a small 0 to 100 % scale with a share and its interval, both 0..1."""
    low, high = (100 * side for side in interval)
    return (
        '<svg class="interval" viewBox="0 0 100 8" preserveAspectRatio="none" '
        'aria-hidden="true"><rect class="track" x="0" y="3" width="100" height="2"/>'
        f'<rect class="range" x="{low:.2f}" y="2" width="{max(0.6, high - low):.2f}" '
        f'height="4"/><rect class="dot" x="{100 * value - 0.5:.2f}" y="0" width="1" '
        'height="8"/></svg>'
    )


def x_place(axis: Axis, value: float) -> float:
    """Return where a value lies on the horizontal axis, px."""
    return LEFT + (WIDTH - LEFT - RIGHT) * value / axis.high


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / axis.high


def _grid(x_axis: Axis, y_axis: Axis) -> list[str]:
    middle = (HEIGHT - BOTTOM + TOP) / 2
    parts = []
    for value in y_axis.ticks():
        y = _y(y_axis, value)
        parts.append(
            f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
            f"{y_axis.text(value)}</text>"
        )
    parts.append(
        f'<text class="name" transform="translate(11 {middle:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_axis.name)}</text>'
    )
    return [*parts, *axis_below(x_axis)]


def axis_below(axis: Axis) -> Iterator[str]:
    """Yield the horizontal axis: its line, ticks and name."""
    floor = HEIGHT - BOTTOM
    for value in axis.ticks():
        x = x_place(axis, value)
        yield (
            f'<path class="tick" d="M{x:.1f} {floor}v4"/>'
            f'<text x="{x:.1f}" y="{floor + 17}" text-anchor="middle">'
            f"{axis.text(value)}</text>"
        )
    yield (
        f'<path class="axis" d="M{LEFT} {floor}H{WIDTH - RIGHT}"/>'
        f'<text class="name" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 6}" '
        f'text-anchor="middle">{escape(axis.name)}</text>'
    )


def _places(x: np.ndarray, y: np.ndarray, x_axis: Axis, y_axis: Axis) -> list[str]:
    """Return the coordinates of points, cut at the axes."""
    xs = np.clip(x, 0, x_axis.high)
    ys = np.clip(y, 0, y_axis.high)
    return [
        f"{x_place(x_axis, float(left)):.1f} {_y(y_axis, float(top)):.1f}"
        for left, top in zip(xs, ys, strict=True)
    ]


def _path(number: int, line: LineSeries, x_axis: Axis, y_axis: Axis) -> str:
    """Return one line; values beyond the axes are cut at them."""
    points = _places(line.x, line.y, x_axis, y_axis)
    kept = [p for i, p in enumerate(points) if i == 0 or p != points[i - 1]]
    if not kept:
        return ""
    kind = series(number) + (" dashed" if line.continues else "")
    return f'<path class="line {kind}" d="M{"L".join(kept)}"/>'


def _band(band: Band, x_axis: Axis, y_axis: Axis) -> str:
    """Return a closed area, cut at the axes."""
    corners = _places(band.x, band.y, x_axis, y_axis)
    return f'<path class="band {series(band.line)}" d="M{"L".join(corners)}Z"/>'


def _point(point: PointMark, x_axis: Axis, y_axis: Axis) -> str:
    """Return a dot and the cross of its intervals."""
    x, y = (
        x_place(x_axis, min(point.x, x_axis.high)),
        _y(y_axis, min(point.y, y_axis.high)),
    )
    left, right = (x_place(x_axis, min(side, x_axis.high)) for side in point.x_interval)
    low, high = (_y(y_axis, min(side, y_axis.high)) for side in point.y_interval)
    return (
        f'<path class="cross" d="M{left:.1f} {y:.1f}H{right:.1f}'
        f'M{x:.1f} {low:.1f}V{high:.1f}"/>'
        f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="5">'
        f"<title>{escape(point.text)}</title></circle>"
    )


def mark(axis: Axis, value: float, text: str, number: int) -> str:
    """Return a thin line down to the horizontal axis, its text as a tooltip."""
    x = x_place(axis, min(value, axis.high))
    return (
        f'<path class="mark {series(number)}" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}">'
        f"<title>{escape(text)}</title></path>"
    )
