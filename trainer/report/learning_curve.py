"""The section of the report that asks how many more photos are needed."""

from collections.abc import Sequence
from html import escape

import numpy as np

from trainer.learning_curve.extrapolation import (
    FARTHEST,
    SIDES_95,
    Extrapolation,
    figure_name,
    outlook_words,
)
from trainer.report.charts import Axis, Band, LineSeries, PointMark, line_chart

DRAWN_AT = 40  # points of a fitted curve
NOTHING = "&ndash;"


def how_many_more(outlooks: Sequence[Extrapolation], steps: int) -> str:
    """Return the section.

    Args:
        outlooks: All together, then each class.
        steps: Of each of the trainings.
    """
    numbers = ", ".join(str(count) for count in outlooks[0].series.photos)
    panels = "".join(
        f'<div class="panel"><h3>{escape(_title(one))}</h3>'
        f"<p>{escape(outlook_words(one))}</p>{_chart(one)}</div>"
        for one in outlooks
    )
    return (
        f"<h2>How many more photos?</h2><p>Trained {len(outlooks[0].series.photos)} "
        f"times, on {numbers} photos, each part inside the next, by the same recipe "
        f"and {steps} steps; measured on the same photos, each at thresholds chosen by "
        "the same rule. Rings: what was measured, with 95 % intervals. Line: an error "
        "that falls as a + b n^-c; shade: 95 % of the lines through resampled photos, "
        "with the luck of another training. Dashed: not measured, at most "
        f"{FARTHEST} times the photos at hand.</p>{_table(outlooks)}"
        f'<div class="panels">{panels}</div>'
    )


def learning_document(
    outlooks: Sequence[Extrapolation], steps: int
) -> dict[str, object]:
    """Return the figures for programs.

    Args:
        outlooks: All together, then each class.
        steps: Of each of the trainings.
    """
    return {"steps": steps, "outlooks": [_document(one) for one in outlooks]}


def _document(one: Extrapolation) -> dict[str, object]:
    """Return the figures of one class, or of all together."""
    series, law = one.series, one.curve[0] if one.curve else None
    points = zip(series.photos, series.values, series.intervals, strict=True)
    return {
        "label": series.label,
        "figure": figure_name(one),
        "goal": one.goal,
        "verdict": one.verdict.value,
        "words": outlook_words(one),
        "more_photos": one.more,
        "more_photos_interval": list(one.more_interval) if one.more_interval else None,
        "most_more_photos": one.most_more,
        "points": [
            {"photos": n, "value": value, "interval": list(interval)}
            for n, value, interval in points
        ],
        "with_twice": list(one.twice) if one.twice else None,
        "with_four_times": list(one.farthest) if one.farthest else None,
        "error_curve": {
            "a": float(law.floor[0]),
            "b": float(law.scale[0] * law.reference ** law.exponent[0]),
            "c": float(law.exponent[0]),
        }
        if law
        else None,
    }


def _title(one: Extrapolation) -> str:
    return one.series.label or "All together"


def _table(outlooks: Sequence[Extrapolation]) -> str:
    """Return what was measured and what is expected, row by row."""
    head = "".join(
        f"<th>{name}</th>"
        for name in ("", "photos", "now", "95 %", "with twice the photos", "95 %")
    )
    rows = "".join(_row(one) for one in outlooks)
    return (
        '<div class="panel scroll"><table><thead><tr>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div><p></p>"
    )


def _row(one: Extrapolation) -> str:
    """Return one row of the table."""
    series = one.series
    low, high = series.intervals[-1]
    expected = f"<td>{NOTHING}</td><td>{NOTHING}</td>"
    if one.twice:
        value, least, most = one.twice
        expected = f"<td>{value:.3f}</td><td>{least:.3f} to {most:.3f}</td>"
    return (
        f"<tr><td>{escape(_title(one))}, {figure_name(one)}</td>"
        f"<td>{series.photos[-1]}</td><td>{series.values[-1]:.3f}</td>"
        f"<td>{low:.3f} to {high:.3f}</td>{expected}</tr>"
    )


def _chart(one: Extrapolation) -> str:
    """Return points, curve and what lies beyond."""
    series = one.series
    now = float(series.photos[-1])
    farthest = FARTHEST * now if one.curve else max(1.1 * now, 1.0)
    figure = figure_name(one)
    points = [
        PointMark(
            f"{figure} {value:.3f} with {number} photos",
            float(number),
            value,
            (float(number), float(number)),
            interval,
        )
        for number, value, interval in zip(
            series.photos, series.values, series.intervals, strict=True
        )
    ]
    lines: list[LineSeries] = []
    bands: list[Band] = []
    if one.curve:
        own, curves = one.curve
        least = min(float(n) for n in series.photos if n)
        inside, beyond = (
            np.linspace(*ends, DRAWN_AT) for ends in ((least, now), (now, farthest))
        )
        lines = [
            LineSeries("fitted", inside, _values([own.at(x) for x in inside])),
            LineSeries("", beyond, _values([own.at(x) for x in beyond]), goes_on=True),
        ]
        x = np.concatenate((inside, beyond))
        sides = np.array([np.percentile(1 - curves.at(n), SIDES_95) for n in x])
        corners = np.concatenate((sides[:, 1], sides[::-1, 0]))
        bands = [Band(0, np.concatenate((x, x[::-1])), corners)]
    axis = Axis("photos trained on", farthest, percent=False)
    goal = LineSeries(
        f"goal {one.goal:.4g}", np.array([0, farthest]), np.full(2, one.goal)
    )
    return line_chart(
        [*lines, goal], axis, Axis(figure, percent=False), bands=bands, points=points
    )


def _values(errors: Sequence[np.ndarray]) -> np.ndarray:
    """Return 1 - error of one curve at several numbers of photos."""
    return np.array([1 - float(error[0]) for error in errors])
