"""Chooses a smaller input where an inference must not take longer than a budget."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from models.errors import ConfigError
from trainer.data.dataset import Photo
from trainer.fit.input_choices import InputChoice, input_choices
from trainer.fit.options import TrainOptions, resolve

Measure = Callable[[int, int], float]
"""Returns the milliseconds of an inference, of an input's height and width."""


@dataclass(frozen=True, slots=True)
class FittingInput:
    """The largest input within a budget.

    Attributes:
        photo_ms: Milliseconds for one photo: of all its tiles.
        usual: The input without a budget, and its ``photo_ms``.
    """

    choice: InputChoice
    photo_ms: float
    usual: InputChoice
    usual_ms: float

    def __str__(self) -> str:
        """What was measured and chosen, in words."""
        took = f"{self.photo_ms:.1f} ms on this machine"
        if self.choice is self.usual:
            return f"{_shown(self.usual)} px take {took}"
        words = f"the input is {_shown(self.choice)} px, {took}, not "
        words += f"{_shown(self.usual)} px, {self.usual_ms:.1f} ms"
        if not self.choice.keeps_small_defects:
            words += "; small defects may be missed"
        return words


def fit_to_latency(
    options: TrainOptions,
    photos: tuple[Photo, ...],
    budget_ms: float,
    measure: Measure,
) -> FittingInput:
    """Return the largest input whose inference is within a budget.

    A binary search: about five inputs are measured, each in some seconds.

    Args:
        options: Without ``size_px``.
        photos: To train on.
        budget_ms: Milliseconds for one photo, above 0.

    Raises:
        ConfigError: No input is fast enough.
    """

    @cache
    def photo_ms(choice: InputChoice) -> float:
        return choice.inputs * measure(choice.height_px, choice.width_px)

    choices = list(input_choices(options, resolve(options, photos), photos))
    usual, smallest = choices[0], choices[-1]
    if photo_ms(usual) <= budget_ms:
        return FittingInput(usual, photo_ms(usual), usual, photo_ms(usual))
    if photo_ms(smallest) > budget_ms:
        raise _too_slow(budget_ms, smallest, photo_ms(smallest))
    first = bisect_left(choices, -budget_ms, key=lambda each: -photo_ms(each))
    choice = choices[first]
    return FittingInput(choice, photo_ms(choice), usual, photo_ms(usual))


def with_input(options: TrainOptions, size_px: int | None) -> TrainOptions:
    """Return the options of a training with an input of this size, or a smaller one.

    Args:
        size_px: Longer side; None = as the options choose.
    """
    if size_px is None:
        return options
    return replace(options, size_px=size_px, size_is_limit=True)


def _too_slow(budget_ms: float, choice: InputChoice, photo_ms: float) -> ConfigError:
    fix = "Give a longer time, or a faster network with --detector"
    return ConfigError(
        f"--budget-ms {budget_ms:g}: no input is fast enough.",
        why=f"{_shown(choice)} px take {photo_ms:.1f} ms on this machine.",
        fix=f"{fix}, or leave --tiles out." if choice.size_px is None else f"{fix}.",
    )


def _shown(choice: InputChoice) -> str:
    size = f"{choice.width_px} x {choice.height_px}"
    return f"{choice.inputs} tiles of {size}" if choice.inputs > 1 else size
