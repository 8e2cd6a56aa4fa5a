"""The input is as large as an inference within the budget allows."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import ConfigError
from trainer.data.dataset import Photo
from trainer.fit.input_choices import SMALLEST_INPUT_PX
from trainer.fit.latency_budget import fit_to_latency, with_input
from trainer.fit.options import TrainOptions, resolve

MS_PER_MEGAPIXEL, OVERHEAD_MS = 20.0, 0.5


def photos(
    width_px: int = 640, height_px: int = 480, box_px: float = 100
) -> tuple[Photo, ...]:
    box = np.array([[1, 1, 1 + box_px, 1 + box_px]], np.float32)
    label = np.zeros(1, np.int64)
    return tuple(
        Photo(Path(f"{i}.png"), "", width_px, height_px, box, label) for i in range(8)
    )


def options(**given: object) -> TrainOptions:
    return TrainOptions(weights="none", **given)  # type: ignore[arg-type]


class Machine:
    """Takes a time for each pixel and one for each inference."""

    def __init__(self) -> None:
        self.measured: list[tuple[int, int]] = []

    def ms(self, height: int, width: int) -> float:
        self.measured.append((height, width))
        return OVERHEAD_MS + MS_PER_MEGAPIXEL * height * width / 1e6


def test_input_that_is_fast_enough_stays_as_it_is() -> None:
    machine = Machine()
    fitting = fit_to_latency(options(), photos(), 7.0, machine.ms)
    assert fitting.choice.size_px is None
    assert machine.measured == [(480, 640)]
    assert str(fitting) == "640 x 480 px take 6.6 ms on this machine"


@pytest.mark.parametrize("budget_ms", [2.6, 3.0, 4.0, 5.0, 6.0])
def test_largest_input_within_the_budget_is_chosen(budget_ms: float) -> None:
    machine = Machine()
    fitting = fit_to_latency(options(), photos(), budget_ms, machine.ms)
    assert fitting.photo_ms <= budget_ms
    assert len(machine.measured) <= 6  # each takes seconds
    chosen = with_input(options(), fitting.choice.size_px)
    recipe = resolve(chosen, photos())
    size = (recipe.input_height_px, recipe.input_width_px)
    assert size == (fitting.choice.height_px, fitting.choice.width_px)
    larger = resolve(options(size_px=recipe.input_width_px + 32), photos())
    assert machine.ms(larger.input_height_px, larger.input_width_px) > budget_ms
    assert f"not 640 x 480 px, {fitting.usual_ms:.1f} ms" in str(fitting)


def test_defects_that_become_too_small_are_mentioned() -> None:
    large = fit_to_latency(options(), photos(box_px=100), 4.0, Machine().ms)
    small = fit_to_latency(options(), photos(box_px=9), 4.0, Machine().ms)
    assert "small defects may be missed" not in str(large)
    assert str(small).endswith("; small defects may be missed")


def test_all_tiles_of_a_photo_count() -> None:
    large = photos(3000, 2000, box_px=10)
    machine = Machine()
    tiled = fit_to_latency(options(), large, 1000.0, machine.ms)
    assert tiled.choice.inputs > 1
    one_ms = machine.ms(*machine.measured[0])
    assert tiled.photo_ms == pytest.approx(tiled.choice.inputs * one_ms)
    whole = fit_to_latency(options(), large, 30.0, Machine().ms)
    assert whole.choice.inputs == 1
    assert whole.choice.width_px > SMALLEST_INPUT_PX
    assert resolve(with_input(options(), whole.choice.size_px), large).tiles is None


@pytest.mark.parametrize(
    ("given", "fix"),
    [({}, "--detector."), ({"tiles": (320, 320)}, "leave --tiles out.")],
)
def test_budget_that_nothing_fits_is_refused(
    given: dict[str, object], fix: str
) -> None:
    with pytest.raises(ConfigError, match="no input is fast enough") as refused:
        fit_to_latency(options(**given), photos(), 0.1, Machine().ms)
    assert " ms on this machine." in refused.value.why
    assert refused.value.fix.endswith(fix)


def test_minutes_may_take_less_than_the_budget_allows() -> None:
    chosen = with_input(options(minutes=1.0), 448)
    assert (chosen.size_px, chosen.size_is_limit) == (448, True)
    assert with_input(options(), None) == options()
