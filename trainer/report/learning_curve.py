"""The section of the report on how many more photos are needed."""

from collections.abc import Sequence
from html import escape

import numpy as np

from models.counted import counted
from trainer.learning_curve.extrapolation import (
    EXTRAPOLATION_LIMIT,
    Extrapolation,
    extrapolation_text,
)
from trainer.learning_curve.series import PERCENTILES_95
from trainer.report.charts import Axis, Band, LineSeries, PointMark, line_chart
from trainer.report.markup import DASH, panel, table

CURVE_POINTS = 40  # drawn inside the measured range, and as many beyond it


def learning_curve_section(
    extrapolations: Sequence[Extrapolation], steps: int, unmeasured: Sequence[str]
) -> str:
    """Return the section.

    Args:
        extrapolations: All together, then each class.
        steps: Optimizer steps of each training.
        unmeasured: Classes without a labelled box to measure on.
    """
    photos = extrapolations[0].series.photos
    panels = "".join(
        panel(escape(_title(one)), escape(extrapolation_text(one)), _chart(one))
        for one in extrapolations
    )
    left_out = "".join(f" {escape(text)}" for text in map(unmeasured_text, unmeasured))
    columns = "", "photos", "now", "95 %", "with twice the photos", "95 %"
    return (
        f"<h2>How many more photos?</h2><p>Trained {counted(len(photos), 'time')}, on "
        f"{', '.join(map(str, photos))} photos, each set inside the "
        "next, with the "
        f"same recipe and {counted(steps, 'step')}. Measured on the same photos, "
        "each at "
        "thresholds chosen by the same rule. Rings: measured values with 95 % "
        "intervals. Line: an error that falls as a + b n^-c; shade: 95 % of such lines "
        "through resampled photos, each with the noise of another training. Dashed: "
        f"extrapolated, to at most {EXTRAPOLATION_LIMIT} times the photos at hand."
        f"{left_out}</p>"
        f"{table(columns, [_row(one) for one in extrapolations])}"
        f'<div class="panels">{panels}</div>'
    )


def learning_curve_document(
    extrapolations: Sequence[Extrapolation], steps: int, unmeasured: Sequence[str]
) -> dict[str, object]:
    """Return the figures for programs."""
    return {
        "steps": steps,
        "outlooks": [_document(one) for one in extrapolations],
        "labels_without_boxes": list(unmeasured),
    }


def unmeasured_text(label: str) -> str:
    """Return a sentence on a class that no curve is drawn for."""
    return f"{label}: not measured, no photo to measure on shows a labelled box of it."


def _document(one: Extrapolation) -> dict[str, object]:
    series, law = one.series, one.curve[0] if one.curve else None
    points = zip(series.photos, series.values, series.intervals, strict=True)
    return {
        "label": series.label,
        "figure": series.figure,
        "goal": one.goal,
        "verdict": one.conclusion.value,
        "words": extrapolation_text(one),
        "more_photos": one.more,
        "more_photos_interval": list(one.more_interval) if one.more_interval else None,
        "most_more_photos": one.most_more,
        "points": [
            {"photos": n, "value": value, "interval": list(interval)}
            for n, value, interval in points
        ],
        "with_twice": list(one.with_twice) if one.with_twice else None,
        "with_four_times": list(one.at_limit) if one.at_limit else None,
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


def _row(one: Extrapolation) -> tuple[str, ...]:
    """Return what was measured and what is expected."""
    series = one.series
    low, high = series.intervals[-1]
    expected = DASH, DASH
    if one.with_twice:
        value, least, most = one.with_twice
        expected = f"{value:.3f}", f"{least:.3f} to {most:.3f}"
    return (
        f"{escape(_title(one))}, {series.figure}",
        str(series.photos[-1]),
        f"{series.values[-1]:.3f}",
        f"{low:.3f} to {high:.3f}",
        *expected,
    )


def _chart(one: Extrapolation) -> str:
    series = one.series
    now = float(series.photos[-1])
    limit = EXTRAPOLATION_LIMIT * now if one.curve else max(1.1 * now, 1.0)
    points = [
        PointMark(
            f"{series.figure} {value:.3f} with {counted(number, 'photo')}",
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
        inside = np.linspace(least, now, CURVE_POINTS)
        beyond = np.linspace(now, limit, CURVE_POINTS)
        fitted, extrapolated = (
            np.array([1 - float(own.at(n)[0]) for n in part])
            for part in (inside, beyond)
        )
        lines = [
            LineSeries("fitted", inside, fitted),
            LineSeries("", beyond, extrapolated, continues=True),
        ]
        x = np.concatenate((inside, beyond))
        sides = np.array([np.percentile(1 - curves.at(n), PERCENTILES_95) for n in x])
        bands = [Band.between(0, x, sides)]
    axis = Axis("photos trained on", limit, percent=False)
    goal = LineSeries(
        f"goal {one.goal:.4g}", np.array([0, limit]), np.full(2, one.goal)
    )
    y_axis = Axis(series.figure, percent=False)
    return line_chart([*lines, goal], axis, y_axis, bands=bands, points=points)
