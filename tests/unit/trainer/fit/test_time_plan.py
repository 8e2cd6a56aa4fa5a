"""What a short budget of minutes leaves out, and in which order."""

from pathlib import Path

import numpy as np
import pytest

from models.tiles import Tiles
from trainer.data.dataset import Photo
from trainer.fit.budget import CLOSING_SHARE, FINAL_SHARE, LEAST_PHOTOS, closing_s
from trainer.fit.options import WARMUP_STEPS, Recipe, TrainOptions, resolve
from trainer.fit.speed import Speed
from trainer.fit.tiling import TileMode
from trainer.fit.time_plan import (
    WANTED_STEPS,
    TimePlan,
    fit_to_time,
    least_work,
)

LARGE_PX, SMALL_PX = 200.0, 10.0


def photos(count: int, box_px: float, side_px: int = 640) -> tuple[Photo, ...]:
    box = np.array([[1, 1, 1 + box_px, 1 + box_px]], np.float32)
    label = np.zeros(1, np.int64)
    return tuple(
        Photo(Path(f"{i}.png"), "", side_px, side_px, box, label) for i in range(count)
    )


def options(**given: object) -> TrainOptions:
    return TrainOptions(weights="none", batch=8, **{"minutes": 4.0} | given)  # type: ignore[arg-type]


def speed(recipe: Recipe, step_s: float = 1.0, photo_s: float = 0.2) -> Speed:
    """Return the speed of a machine at the input of a recipe."""
    pixels = recipe.input_height_px * recipe.input_width_px
    tiles = recipe.tiles.count if recipe.tiles else 1
    return Speed(0.1, step_s, 0.005, photo_s, 0.03, pixels * tiles, pixels)


def plan(
    wanted: TrainOptions,
    trained: tuple[Photo, ...],
    held_out: tuple[Photo, ...],
    left_s: float,
    **measured: float,
) -> TimePlan:
    recipe = resolve(wanted, trained)
    return fit_to_time(
        wanted, recipe, trained, held_out, speed(recipe, **measured), left_s
    )


def test_enough_minutes_leave_nothing_out() -> None:
    enough = plan(options(), photos(20, LARGE_PX), photos(60, LARGE_PX), 600)
    assert (enough.size_px, enough.final_photos, enough.reduced) == (None, 0, ())
    assert enough.warmup_steps == WARMUP_STEPS
    assert enough.photo_s == pytest.approx(0.235)


def test_photos_are_left_out_of_the_measurement_before_the_input_is_smaller() -> None:
    short = plan(options(), photos(20, LARGE_PX), photos(399, LARGE_PX), 230)
    assert short.size_px is None
    assert LEAST_PHOTOS < short.final_photos < 399
    measured_s = short.final_photos * short.photo_s * CLOSING_SHARE
    assert measured_s <= FINAL_SHARE * 230
    (text,) = short.reduced
    assert text == (
        f"--minutes 4 is short: the run is measured on {short.final_photos} of 399 "
        "held-out photos, or on more if there is time"
    )


def test_large_defects_are_trained_at_a_smaller_input_where_steps_are_few() -> None:
    short = plan(options(), photos(20, LARGE_PX), photos(399, LARGE_PX), 75)
    assert short.size_px is not None
    assert 320 <= short.size_px < 640
    assert LEAST_PHOTOS <= short.final_photos < 399
    side = short.size_px
    assert (
        short.reduced[0]
        == f"--minutes 4 is short: the input is {side} x {side} px, not 640 x 640 px"
    )


def test_small_defects_keep_their_input_and_fewer_photos_are_measured() -> None:
    short = plan(options(), photos(20, SMALL_PX), photos(399, SMALL_PX), 230)
    assert short.size_px is None or short.size_px >= 8 * 640 / SMALL_PX
    assert LEAST_PHOTOS <= short.final_photos < 399
    assert f"{short.final_photos} of 399 held-out photos" in short.reduced[-1]


@pytest.mark.parametrize("left_s", [30.0, 60.0, 120.0, 240.0])
def test_chosen_work_ends_in_time(left_s: float) -> None:
    wanted, trained = options(), photos(20, LARGE_PX)
    held_out = photos(399, LARGE_PX)
    recipe = resolve(wanted, trained)
    measured = speed(recipe)
    short = fit_to_time(wanted, recipe, trained, held_out, measured, left_s)
    side = short.size_px or 640
    needed_s = closing_s(short.final_photos or 399, measured.photo_s(side * side))
    if "steps fit" not in "".join(short.reduced):
        needed_s += WANTED_STEPS * measured.step_s(side * side)
    assert needed_s <= left_s


def test_given_size_is_kept() -> None:
    short = plan(options(size_px=640), photos(20, LARGE_PX), photos(399, LARGE_PX), 100)
    assert short.size_px is None
    assert short.final_photos >= LEAST_PHOTOS


def test_given_tiles_are_kept() -> None:
    large = photos(20, LARGE_PX, 2000)
    wanted = options(tiles=(640, 640))
    short = plan(wanted, large, photos(399, LARGE_PX, 2000), 60)
    assert short.size_px is None
    assert 0 < short.final_photos <= LEAST_PHOTOS


def test_tiles_stay_while_a_part_of_the_photos_can_be_measured() -> None:
    large = photos(20, SMALL_PX, 4000)
    wanted = options()
    recipe = resolve(wanted, large)
    assert isinstance(recipe.tiles, Tiles)
    held_out = photos(399, SMALL_PX, 4000)
    fits = plan(wanted, large, held_out, 600, photo_s=2.0)
    assert (fits.size_px, fits.final_photos) == (None, LEAST_PHOTOS)
    short = plan(wanted, large, held_out, 100, photo_s=2.0)
    assert short.size_px is not None
    assert "not tiles of 640 x 640 px; small defects may be missed" in short.reduced[0]
    again = resolve(short.apply(wanted), large)
    assert (again.tiles, wanted.tiles) == (None, TileMode.AUTO)


def test_tiny_budget_leaves_a_few_steps_and_says_so() -> None:
    tiny = plan(options(minutes=0.2), photos(20, LARGE_PX), photos(399, LARGE_PX), 8)
    assert (tiny.size_px, tiny.final_photos) == (320, LEAST_PHOTOS)
    assert 1 <= tiny.warmup_steps < WARMUP_STEPS
    assert "steps fit instead of 150 or more" in tiny.reduced[-1]
    assert tiny.reduced[-1].startswith("--minutes 0.2 is short: about ")


def test_budget_that_is_over_leaves_the_least_work() -> None:
    wanted, trained = options(minutes=0.01), photos(20, LARGE_PX)
    recipe = resolve(wanted, trained)
    least = least_work(wanted, recipe, trained, photos(30, LARGE_PX))
    assert (least.size_px, least.final_photos) == (320, LEAST_PHOTOS)
    assert "about 1 step fits" in least.reduced[-1]


def test_fold_is_measured_on_all_of_its_photos() -> None:
    """Its detections are joined with those of the other folds, photo by photo."""
    fold = options(selects=False)
    short = plan(fold, photos(20, LARGE_PX), photos(399, LARGE_PX), 8)
    assert short.final_photos == 0
    least = least_work(
        fold,
        resolve(fold, photos(9, LARGE_PX)),
        photos(9, LARGE_PX),
        photos(30, LARGE_PX),
    )
    assert least.final_photos == 0


def test_plan_survives_a_checkpoint() -> None:
    before = TimePlan(416, 24, 52, 13, 0.25, ("--minutes 1 is short: x",))
    assert TimePlan.from_state(before.state()) == before
