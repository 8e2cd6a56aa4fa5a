"""Estimates the gain of more photos from a few measured points.

A falling curve (``power_law``) is fitted to the points, and again to every resample of
the photos that they were measured on, each with the noise of another training added.
Only results that these curves agree on are reported, and nothing beyond
``EXTRAPOLATION_LIMIT`` times the present number of photos.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import numpy as np

from models.counted import counted
from trainer.learning_curve.power_law import PowerLaws, fit
from trainer.learning_curve.series import PERCENTILES_95, Series

# Factor of the present number of photos. The trainings span the same factor, from a
# quarter to all.
EXTRAPOLATION_LIMIT = 4
TRAINING_NOISE = 0.01  # of recall or mAP: what another seed changes at least
MIN_POINTS, MIN_BOXES, MIN_PHOTOS = 3, 10, 5  # fewer give no curve, or only noise
MIN_SPREAD = 0.005  # of draws that are all equal, as at recall 1
LIKELY, UNLIKELY = 0.5, 0.1  # of the resampled curves that reach the goal
# Share of the present number of photos: if so few more might be enough, and the limit
# might not be, the number is unknown.
FEW_MORE = 0.1
FLAT_GAIN = 0.03  # of recall, at the limit: not worth the labelling
# The points lie on no curve if fewer resamples than this lie as far off theirs.
SCATTER_SHARE = 0.05


class Conclusion(StrEnum):
    """The result of the measured points for a goal."""

    REACHED = "reached"
    ABOUT = "about"  # so many more photos
    MORE_THAN = "more-than"  # the limit of the extrapolation
    FLAT = "flat"
    SCATTERED = "scattered"  # not on a curve
    WIDE = "wide"  # on many curves
    TOO_FEW = "too-few"  # points, or labels to measure on


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """The estimated gain of more photos."""

    series: Series
    goal: float  # recall, or mAP@.33
    conclusion: Conclusion
    more: int | None = None  # photos missing to the goal; None where that is not known
    # 95 %, where it is known; None = beyond the limit
    more_interval: tuple[int | None, int | None] | None = None
    # value and its 95 % interval with twice the photos, if there is a curve
    with_twice: tuple[float, float, float] | None = None
    # likewise with `EXTRAPOLATION_LIMIT` times the photos
    at_limit: tuple[float, float, float] | None = None
    # through the points themselves, and all resampled ones
    curve: tuple[PowerLaws, PowerLaws] | None = None

    @property
    def most_more(self) -> int:
        """The highest number of further photos that is reported."""
        return (EXTRAPOLATION_LIMIT - 1) * self.series.photos[-1]


def extrapolate(series: Series, goal: float, seed: int) -> Extrapolation:
    """Return what more photos would bring.

    Args:
        goal: Recall, or mAP@.33, to reach.
        seed: Draws the training noise that is added.
    """
    if (
        _distinct_points(series) < MIN_POINTS
        or series.boxes < MIN_BOXES
        or series.photos_with_boxes < MIN_PHOTOS
    ):
        return Extrapolation(series, goal, Conclusion.TOO_FEW)
    usable = np.array(series.photos) > 0
    draws = series.draws[np.isfinite(series.draws).all(axis=1)][:, usable]
    photos = np.array(series.photos, np.float64)[usable]
    errors = 1 - np.array(series.values, np.float64)[usable]
    if errors[-1] <= 1 - goal + 1e-9:
        return Extrapolation(series, goal, Conclusion.REACHED)
    spread = np.hypot(draws.std(axis=0).clip(MIN_SPREAD), TRAINING_NOISE)
    noise = np.random.default_rng(seed).normal(0, TRAINING_NOISE, draws.shape)
    changed = noise + draws.mean(axis=0) - draws  # [B, S] of the error
    own = fit(photos, errors[None], spread)
    # Resamples around the fitted curve show how far points usually lie off theirs.
    expected = np.array([own.at(float(n))[0] for n in photos])
    usual = fit(photos, expected + changed, spread).squares
    if (usual >= own.squares[0]).mean() < SCATTER_SHARE:
        return Extrapolation(series, goal, Conclusion.SCATTERED)
    curves = fit(photos, (errors + changed).clip(0, 1), spread)
    return _concluded(series, goal, own, curves)


def _distinct_points(series: Series) -> int:
    return len({number for number in series.photos if number})


def _concluded(
    series: Series, goal: float, own: PowerLaws, curves: PowerLaws
) -> Extrapolation:
    """Return what the curves agree on."""
    now = float(series.photos[-1])
    limit = EXTRAPOLATION_LIMIT * now
    needed = curves.photos_for(1 - goal)
    best = float(own.photos_for(1 - goal)[0])
    reaching = float((needed <= limit).mean())
    # "nearest": interpolation between a number and infinity is not a number
    low, high = np.percentile(needed, PERCENTILES_95, method="nearest")
    is_known = low / now - 1 > FEW_MORE or high <= limit
    gain = float(np.percentile(own.at(now) - curves.at(limit), PERCENTILES_95[1]))
    more, interval = None, None
    if is_known and reaching >= LIKELY and best <= limit:
        conclusion, more = Conclusion.ABOUT, rounded_up(best - now)
    elif gain < FLAT_GAIN:
        conclusion = Conclusion.FLAT
    elif reaching <= UNLIKELY:
        conclusion = Conclusion.MORE_THAN
    else:
        conclusion = Conclusion.WIDE
    if conclusion in {Conclusion.ABOUT, Conclusion.WIDE}:
        interval = _within(low - now, now), _within(high - now, now)
    return Extrapolation(
        series,
        goal,
        conclusion,
        more,
        interval,
        _expected(own, curves, 2 * now),
        _expected(own, curves, limit),
        (own, curves),
    )


def _expected(
    own: PowerLaws, curves: PowerLaws, photos: float
) -> tuple[float, float, float]:
    """Return the value with so many photos, and its interval."""
    low, high = np.percentile(1 - curves.at(photos), PERCENTILES_95)
    value = float(1 - own.at(photos)[0])
    return value, min(value, max(0.0, float(low))), max(value, min(1.0, float(high)))


def _within(more: float, now: float) -> int | None:
    """Return so many more photos; None beyond the limit of the extrapolation."""
    return rounded_up(more) if more <= (EXTRAPOLATION_LIMIT - 1) * now else None


def rounded_up(photos: float) -> int:
    """Return a number of photos that promises no more precision than there is.

    >>> [rounded_up(n) for n in (0.2, 9.2, 41, 118, 1240)]
    [1, 10, 45, 120, 1300]
    """
    whole = max(1, math.ceil(photos - 1e-6))
    step = 1 if whole < 10 else 5 if whole < 100 else 10 if whole < 1000 else 100
    return math.ceil(whole / step) * step


def extrapolation_text(one: Extrapolation) -> str:
    """Return a sentence that promises no more than is known."""
    series = one.series
    of = f" of {series.label}" if series.label is not None else ""
    goal, now = f"{series.figure} {one.goal:.4g}", series.values[-1]
    unknown = f"How many more photos{of} are needed for {goal} is not known"
    match one.conclusion:
        case Conclusion.REACHED:
            low, high = series.intervals[-1]
            text = (
                f"The goal{of}, {goal}, is reached: {now:.3f}, 95 % between {low:.3f} "
                f"and {high:.3f}"
            )
        case Conclusion.ABOUT:
            text = f"About {counted(one.more or 0, 'more photo')}{of} for {goal}"
            text += f" (95 %: {_span(one)})"
        case Conclusion.MORE_THAN:
            text = (
                f"Probably more than {counted(one.most_more, 'more photo')}{of} "
                f"for {goal}"
            )
            text += _at_limit(one)
        case Conclusion.FLAT:
            text = f"More photos{of} will not help much: the curve is flat at "
            text += f"{series.figure} {now:.3f}{_at_limit(one)}"
        case Conclusion.SCATTERED:
            values = ", ".join(f"{value:.3f}" for value in series.values)
            text = f"{unknown}: the points do not lie on a curve ({values})"
        case Conclusion.WIDE:
            text = f"{unknown}: anything from {_span(one)} is possible, with "
            text += f"{counted(series.boxes, 'defect')} on "
            text += f"{counted(series.photos_with_boxes, 'photo')} to measure on"
        case Conclusion.TOO_FEW:
            text = f"{unknown}: {_too_few(series)}"
        case _:
            assert_never(one.conclusion)
    return f"{text}."


def _span(one: Extrapolation) -> str:
    """Return the interval of the photos that are missing."""
    low, high = one.more_interval or (None, None)
    beyond = f"more than {one.most_more}"
    return f"{beyond if low is None else low} to {beyond if high is None else high}"


def _at_limit(one: Extrapolation) -> str:
    """Return what the highest number of photos would bring."""
    if one.at_limit is None:
        return ""
    value, low, high = one.at_limit
    return (
        f"; with {EXTRAPOLATION_LIMIT} times as many about {value:.3f} "
        f"(95 %: {low:.3f} to {high:.3f})"
    )


def _too_few(series: Series) -> str:
    points = _distinct_points(series)
    if points < MIN_POINTS:
        return f"{points} different numbers of photos give no curve"
    return (
        f"{counted(series.boxes, 'labelled defect')} on "
        f"{counted(series.photos_with_boxes, 'photo')}: too few to measure on"
    )
