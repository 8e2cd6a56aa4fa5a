"""What more photos would bring, as far as a few measured points can tell.

A falling curve (``power_law``) is fitted to the points, and again to every resample of
the photos that they were measured on, each with the luck of another training added.
What all these curves agree on is said; what they do not agree on is not. Nothing is
said beyond four times the photos at hand.

What more photos would bring, in a sentence that promises no more than is known.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import numpy as np

from trainer.learning_curve.power_law import Numbers, PowerLaws, fit

FARTHEST = 4  # times the photos at hand: as far as a quarter to all was measured
TRAINING_NOISE = 0.01  # of recall or mAP: what another seed changes at least
FEWEST_POINTS, FEWEST_BOXES, FEWEST_PHOTOS = 3, 10, 5
LEAST_SPREAD = 0.005
LIKELY, UNLIKELY = 0.5, 0.1  # of the resampled curves that reach the goal
FEW_MORE = 0.1  # of the photos at hand: where so few might do, and four times as many
# might not, nothing is known
FLAT_GAIN = 0.03  # of recall, with four times the photos: not worth the labelling
ODD = 0.05  # of the resamples lie as far off their curve as the points do
SIDES_95 = (2.5, 97.5)


class Conclusion(StrEnum):
    """What can be said of a goal."""

    REACHED = "reached"
    ABOUT = "about"  # so many more photos
    MORE_THAN = "more-than"  # may be told
    FLAT = "flat"
    SCATTERED = "scattered"  # not on a curve
    WIDE = "wide"  # on many curves
    TOO_FEW = "too-few"  # points, or labels to measure on


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured with ever more photos.

    Attributes:
        label: Name of the class; None = all of them together.
        photos: ``[S]`` trained on, ascending; those that show the class.
        values: ``[S]`` recall of the class, or mAP@.33.
        intervals: ``[S]`` 95 %.
        draws: ``[B, S]`` the same on resampled photos; nan where none shows the class.
        boxes: Labelled ones to measure on.
        shown: Photos that show them.
    """

    label: str | None
    photos: tuple[int, ...]
    values: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    draws: Numbers
    boxes: int
    shown: int


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """What more photos would bring.

    Attributes:
        series: What was measured.
        goal: Recall, or mAP@.33.
        verdict: What can be said.
        more: Photos that are missing to the goal, if that can be said.
        more_interval: 95 %, where it can be said; None = more than may be told.
        twice: Value and its 95 % interval with twice the photos, if there is a curve.
        farthest: Likewise with ``FARTHEST`` times the photos.
        curve: Through the points themselves, and all resampled ones.
    """

    series: Series
    goal: float
    verdict: Conclusion
    more: int | None = None
    more_interval: tuple[int | None, int | None] | None = None
    twice: tuple[float, float, float] | None = None
    farthest: tuple[float, float, float] | None = None
    curve: tuple[PowerLaws, PowerLaws] | None = None

    @property
    def most_more(self) -> int:
        """More photos than this are never spoken of."""
        return (FARTHEST - 1) * self.series.photos[-1]


def outlook(series: Series, goal: float, seed: int) -> Extrapolation:
    """Return what more photos would bring.

    Args:
        series: What was measured.
        goal: Recall, or mAP@.33, to reach.
        seed: Of the luck that is added.
    """
    usable = np.array(series.photos) > 0
    draws = series.draws[np.isfinite(series.draws).all(axis=1)][:, usable]
    if (
        len({number for number in series.photos if number}) < FEWEST_POINTS
        or series.boxes < FEWEST_BOXES
        or series.shown < FEWEST_PHOTOS
    ):
        return Extrapolation(series, goal, Conclusion.TOO_FEW)
    photos = np.array(series.photos, np.float64)[usable]
    errors = 1 - np.array(series.values, np.float64)[usable]
    spread = np.hypot(draws.std(axis=0).clip(LEAST_SPREAD), TRAINING_NOISE)
    luck = np.random.default_rng(seed).normal(0, TRAINING_NOISE, draws.shape)
    changed = luck + draws.mean(axis=0) - draws
    own = fit(photos, errors[None], spread)
    if errors[-1] <= 1 - goal + 1e-9:
        return Extrapolation(series, goal, Conclusion.REACHED)
    expected = np.array([own.at(float(n))[0] for n in photos])
    usual = fit(photos, expected + changed, spread).squares
    if (usual >= own.squares[0]).mean() < ODD:
        return Extrapolation(series, goal, Conclusion.SCATTERED)
    curves = fit(photos, (errors + changed).clip(0, 1), spread)
    return _judged(series, goal, own, curves)


def _judged(
    series: Series, goal: float, own: PowerLaws, curves: PowerLaws
) -> Extrapolation:
    """Return what the curves agree on."""
    now = float(series.photos[-1])
    needed = curves.photos_for(1 - goal)
    reaching = float((needed <= FARTHEST * now).mean())
    best = float(own.photos_for(1 - goal)[0])
    low, high = np.percentile(needed, SIDES_95, method="nearest") / now - 1
    is_known = low > FEW_MORE or high <= FARTHEST - 1
    gain = float(np.percentile(own.at(now) - curves.at(FARTHEST * now), SIDES_95[1]))
    more, interval = None, None
    if is_known and reaching >= LIKELY and best <= FARTHEST * now:
        verdict, more = Conclusion.ABOUT, rounded_up(best - now)
    elif gain < FLAT_GAIN:
        verdict = Conclusion.FLAT
    else:
        verdict = Conclusion.MORE_THAN if reaching <= UNLIKELY else Conclusion.WIDE
    if verdict in {Conclusion.ABOUT, Conclusion.WIDE}:
        interval = _counted(low * now, now), _counted(high * now, now)
    return Extrapolation(
        series,
        goal,
        verdict,
        more,
        interval,
        _expected(own, curves, 2 * now),
        _expected(own, curves, FARTHEST * now),
        (own, curves),
    )


def _expected(
    own: PowerLaws, curves: PowerLaws, photos: float
) -> tuple[float, float, float]:
    """Return the value with so many photos, and its interval."""
    low, high = np.percentile(1 - curves.at(photos), SIDES_95)
    value = float(1 - own.at(photos)[0])
    return value, min(value, max(0.0, float(low))), max(value, min(1.0, float(high)))


def _counted(more: float, now: float) -> int | None:
    """Return so many more photos, unless more than may be told."""
    return rounded_up(more) if more <= (FARTHEST - 1) * now else None


def rounded_up(photos: float) -> int:
    """Return a number of photos that promises no more precision than there is.

    Args:
        photos: As computed.

    >>> [rounded_up(n) for n in (0.2, 9.2, 41, 118, 1240)]
    [1, 10, 45, 120, 1300]
    """
    whole = max(1, math.ceil(photos - 1e-6))
    step = 1 if whole < 10 else 5 if whole < 100 else 10 if whole < 1000 else 100
    return math.ceil(whole / step) * step


MEAN_PRECISION = "mAP@.33"


def outlook_words(outlook: Extrapolation) -> str:
    """Return the sentence.

    Args:
        outlook: Of a class, or of all together.
    """
    series = outlook.series
    of = f" of {series.label}" if series.label is not None else ""
    figure = figure_name(outlook)
    goal, now = f"{figure} {outlook.goal:.4g}", series.values[-1]
    unknown = f"How many more photos{of} are needed for {goal} is not known"
    match outlook.verdict:
        case Conclusion.REACHED:
            low, high = series.intervals[-1]
            words = (
                f"The goal{of}, {goal}, is reached: {now:.3f}, 95 % between {low:.3f} "
                f"and {high:.3f}"
            )
        case Conclusion.ABOUT:
            words = f"About {outlook.more} more photos{of} for {goal}"
            words += f" (95 %: {_span(outlook)})"
        case Conclusion.MORE_THAN:
            words = f"Probably more than {outlook.most_more} more photos{of} for {goal}"
            words += _expected_text(outlook)
        case Conclusion.FLAT:
            words = f"More photos{of} will not help much: the curve is flat at "
            words += f"{figure} {now:.3f}{_expected_text(outlook)}"
        case Conclusion.SCATTERED:
            values = ", ".join(f"{value:.3f}" for value in series.values)
            words = f"{unknown}: the points do not lie on a curve ({values})"
        case Conclusion.WIDE:
            words = f"{unknown}: anything from {_span(outlook)} is possible, with "
            words += f"{series.boxes} defects on {series.shown} photos to measure on"
        case Conclusion.TOO_FEW:
            words = f"{unknown}: {_few(outlook)}"
        case _:
            assert_never(outlook.verdict)
    return f"{words}."


def figure_name(outlook: Extrapolation) -> str:
    """Return what is measured.

    Args:
        outlook: Of a class, or of all together.
    """
    return MEAN_PRECISION if outlook.series.label is None else "recall"


def _span(outlook: Extrapolation) -> str:
    """Return the interval of the photos that are missing."""
    low, high = outlook.more_interval or (None, None)
    beyond = f"more than {outlook.most_more}"
    return f"{beyond if low is None else low} to {beyond if high is None else high}"


def _expected_text(outlook: Extrapolation) -> str:
    """Return what the most photos that are spoken of would bring."""
    if outlook.farthest is None:
        return ""
    value, low, high = outlook.farthest
    return (
        f"; with {FARTHEST} times as many about {value:.3f} "
        f"(95 %: {low:.3f} to {high:.3f})"
    )


def _few(outlook: Extrapolation) -> str:
    """Return what there is too little of."""
    series = outlook.series
    points = len({number for number in series.photos if number})
    if points < FEWEST_POINTS:
        return f"{points} different numbers of photos give no curve"
    return (
        f"{series.boxes} labelled defects on {series.shown} photos are too few to "
        "measure on"
    )
