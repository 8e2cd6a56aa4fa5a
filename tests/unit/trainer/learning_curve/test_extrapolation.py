"""What measured points show about a goal, and where they show nothing."""

import numpy as np
import pytest

from trainer.learning_curve.extrapolation import (
    Conclusion,
    extrapolate,
    extrapolation_text,
)
from trainer.learning_curve.series import Series

PHOTOS = (25, 50, 75, 100)


def series(
    values: tuple[float, ...], boxes: int = 2000, photos: tuple[int, ...] = PHOTOS
) -> Series:
    """Return points of the class spur, with draws as of so many boxes."""
    rng = np.random.default_rng(0)
    shares = np.array(values)
    spread = np.sqrt(shares * (1 - shares) / boxes)
    noise = 0.8 * rng.normal(size=(400, 1)) + 0.6 * rng.normal(size=(400, len(values)))
    draws = shares + spread * noise
    sides = tuple((value - 0.01, value + 0.01) for value in values)
    return Series("spur", photos, values, sides, draws, boxes, boxes)


def power(a: float, b: float, c: float) -> tuple[float, ...]:
    return tuple(float(1 - a - b * n**-c) for n in PHOTOS)


def test_curve_that_reaches_the_goal_gives_a_number_of_photos() -> None:
    found = extrapolate(series(power(0.0, 7.5, 1.0)), 0.95, 0)  # 0.925 now; 150 needed
    assert found.conclusion is Conclusion.ABOUT
    assert found.more in range(40, 66)
    assert found.more_interval is not None
    low, high = found.more_interval
    assert low is not None
    assert low <= 50
    assert high is None or high >= 50
    text = extrapolation_text(found)
    assert text.startswith(f"About {found.more} more photos of spur for recall 0.95")


def test_flat_curve_means_that_more_photos_do_not_help_much() -> None:
    found = extrapolate(series((0.93, 0.935, 0.925, 0.93), 5000), 0.97, 0)
    assert found.conclusion is Conclusion.FLAT
    assert "More photos of spur will not help much" in extrapolation_text(found)


def test_no_number_is_given_beyond_four_times_the_photos() -> None:
    found = extrapolate(series(power(0.0, 1.6, 0.35)), 0.95, 0)
    assert found.conclusion is Conclusion.MORE_THAN
    assert found.more is None
    assert "Probably more than 300 more photos of spur" in extrapolation_text(found)


def test_points_that_rise_and_fall_lie_on_no_curve() -> None:
    found = extrapolate(series((0.9, 0.7, 0.9, 0.7), 300), 0.95, 0)
    assert found.conclusion is Conclusion.SCATTERED
    assert found.curve is None
    assert "do not lie on a curve (0.900, 0.700, 0.900, 0.700)" in extrapolation_text(
        found
    )


def test_few_evaluation_photos_give_a_wide_interval() -> None:
    found = extrapolate(series((0.86, 0.9, 0.92, 0.94), 40), 0.95, 0)
    assert found.conclusion is Conclusion.WIDE
    assert "is not known: anything from" in extrapolation_text(found)


@pytest.mark.parametrize(
    (("one", "reason")),
    [
        (series((0.5, 0.6), photos=(50, 100)), "2 different numbers of photos"),
        (series((0.4, 0.5, 0.6, 0.6), photos=(0, 3, 3, 4)), "2 different numbers"),
        (series((0.5, 0.6, 0.7, 0.8), boxes=9), "9 labelled defects"),
    ],
)
def test_too_few_points_or_boxes_give_no_curve(one: Series, reason: str) -> None:
    found = extrapolate(one, 0.95, 0)
    assert found.conclusion is Conclusion.TOO_FEW
    assert reason in extrapolation_text(found)


def test_goal_that_is_reached_is_stated_with_its_interval() -> None:
    found = extrapolate(series((0.9, 0.95, 0.96, 0.97)), 0.95, 0)
    assert found.conclusion is Conclusion.REACHED
    assert "is reached: 0.970, 95 % between 0.960 and 0.980" in extrapolation_text(
        found
    )


def test_noise_seldom_gives_a_number_of_photos() -> None:
    """Of flat curves with noise, at most a few seem to reach the goal."""
    rng = np.random.default_rng(1)
    promised = 0
    for _ in range(50):
        values = tuple(float(v) for v in 0.8 + rng.normal(0, 0.02, 4))
        promised += (
            extrapolate(series(values, 400), 0.95, 0).conclusion is Conclusion.ABOUT
        )
    assert promised <= 2
