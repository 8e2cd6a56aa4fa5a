"""Chooses less work where a budget of minutes is short; no budget is refused.

What is left out, in this order:

1. measurements while training (``validation.plan_validation``);
2. photos of the measurement at the end, down to ``LEAST_PHOTOS``: a part instead of
   all held-out ones, in ``FINAL_SHARE`` of the time;
3. the size of the input, as long as small defects stay as large as a detector needs;
4. tiles, and the rest of the input's size, down to ``SMALLEST_INPUT_PX``;
5. steps: there may be a single one.

What was given as an option (``--size``, ``--tiles``) is kept. Each choice is stated in
words, for the terminal, the run's record and its report.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from models.counted import counted
from trainer.data.dataset import Photo
from trainer.fit.budget import (
    CLOSING_S,
    CLOSING_SHARE,
    FINAL_SHARE,
    LEAST_PHOTOS,
    closing_s,
)
from trainer.fit.input_choices import InputChoice, input_choices
from trainer.fit.options import WARMUP_STEPS, Recipe, TrainOptions
from trainer.fit.speed import Speed

# Fewer only where nothing else is left. In equal time 160 steps at 416 px found more
# than 64 at 640 px: mAP@.5 0.41 and 0.27 on boards left out, 0.13 and 0.03 on belts.
WANTED_STEPS = 150
FEW_STEPS = 60  # little more than the usual warm-up
WARMUP_SHARE = 0.25  # of the steps: a short training needs its highest rate too
PROBE_S = 2.0  # with less time left, nothing is measured first


@dataclass(frozen=True, slots=True)
class TimePlan:
    """The work that a budget of minutes allows.

    Attributes:
        size_px: Longer side of the input, without tiles; None = as the options choose.
        final_photos: Photos of the measurement at the end; 0 = all held-out ones.
        steps: About as many fit; 0 = not known.
        warmup_steps: Steps until the highest learning rate.
        photo_s: Seconds to detect and score on one photo; 0 = not measured.
        reduced: What is left out, in words.
    """

    size_px: int | None = None
    final_photos: int = 0
    steps: int = 0
    warmup_steps: int = WARMUP_STEPS
    photo_s: float = 0.0
    reduced: tuple[str, ...] = ()

    def apply(self, options: TrainOptions) -> TrainOptions:
        """Return the options of a training that follows this plan."""
        # With a size and tiles being chosen (AUTO), photos are not cut.
        return replace(options, size_px=self.size_px or options.size_px)

    def state(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return asdict(self)

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> "TimePlan":
        """Return the plan of a checkpoint, from ``state``."""
        values = dict(state)
        return TimePlan(**values | {"reduced": tuple(values["reduced"])})


def least_work(
    options: TrainOptions,
    recipe: Recipe,
    photos: Sequence[Photo],
    held_out: Sequence[Photo],
) -> TimePlan:
    """Return the plan of a budget that is over before a training can start."""
    choice = list(input_choices(options, recipe, photos))[-1]
    part = min(LEAST_PHOTOS, len(held_out)) if options.selects else len(held_out)
    return _plan(options, recipe, choice, part, len(held_out), steps=1.0, photo_s=0.0)


def fit_to_time(
    options: TrainOptions,
    recipe: Recipe,
    photos: Sequence[Photo],
    held_out: Sequence[Photo],
    speed: Speed,
    left_s: float,
) -> TimePlan:
    """Return the work that fits in the time.

    Args:
        options: Those of the user, with minutes.
        recipe: What they would give without a budget.
        photos: To train on.
        speed: Measured at the recipe's input.
        left_s: Seconds until the end of the budget.
    """
    choices = list(input_choices(options, recipe, photos))
    all_photos = len(held_out)
    least = min(LEAST_PHOTOS, all_photos) if options.selects else all_photos
    for keeps in (True, False):
        # The first choice that fits is the largest one.
        for choice in choices:
            room = _photos_in_time(speed, choice, left_s, least)
            if room >= least and (choice.keeps_small_defects or not keeps):
                return _fitted(options, recipe, choice, room, all_photos, speed, left_s)
    return _fitted(options, recipe, choices[-1], least, all_photos, speed, left_s)


def _fitted(
    options: TrainOptions,
    recipe: Recipe,
    choice: InputChoice,
    room: int,
    held_out: int,
    speed: Speed,
    left_s: float,
) -> TimePlan:
    part = min(room, held_out)
    photo_s = speed.photo_s(choice.photo_pixels)
    steps = (left_s - closing_s(part, photo_s)) / speed.step_s(choice.step_pixels)
    return _plan(options, recipe, choice, part, held_out, steps=steps, photo_s=photo_s)


def _photos_in_time(
    speed: Speed, choice: InputChoice, left_s: float, least: int
) -> int:
    """Return how many photos can be measured besides the wanted steps."""
    steps_s = WANTED_STEPS * speed.step_s(choice.step_pixels)
    each_s = speed.photo_s(choice.photo_pixels) * CLOSING_SHARE
    fitting = math.floor((left_s - steps_s - CLOSING_S) / each_s)
    return min(fitting, max(least, math.floor(FINAL_SHARE * left_s / each_s)))


def _plan(
    options: TrainOptions,
    recipe: Recipe,
    choice: InputChoice,
    part: int,
    held_out: int,
    *,
    steps: float,
    photo_s: float,
) -> TimePlan:
    """Return the plan of a choice, with the words for what it leaves out."""
    warmup = min(WARMUP_STEPS, max(1, math.floor(WARMUP_SHARE * steps)))
    reduced = _words(options, recipe, choice, part, held_out, steps)
    return TimePlan(
        choice.size_px,
        part if part < held_out else 0,
        max(1, math.floor(steps)),
        warmup,
        photo_s,
        tuple(reduced),
    )


def _words(
    options: TrainOptions,
    recipe: Recipe,
    choice: InputChoice,
    part: int,
    held_out: int,
    steps: float,
) -> Iterator[str]:
    minutes = f"--minutes {options.minutes:g} is short"
    if choice.size_px is not None:
        before = f"{recipe.input_width_px} x {recipe.input_height_px} px"
        if recipe.tiles:
            before = f"tiles of {before}"
        smaller = "" if choice.keeps_small_defects else "; small defects may be missed"
        yield (
            f"{minutes}: the input is {choice.width_px} x {choice.height_px} px, not "
            f"{before}{smaller}"
        )
    if part < held_out:
        yield (
            f"{minutes}: the run is measured on {part} of {held_out} held-out photos, "
            "or on more if there is time"
        )
    number = max(1, math.floor(steps))
    if number < WANTED_STEPS:
        little = "; expect a detector that finds little" if number < FEW_STEPS else ""
        yield (
            f"{minutes}: about {counted(number, 'step')} "
            f"{'fits' if number == 1 else 'fit'} instead of {WANTED_STEPS} or more"
            f"{little}"
        )
