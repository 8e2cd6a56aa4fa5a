"""A training of some minutes, on simulated machines whose load varies.

The loop, the plan, the validator and the mining are the real ones; what takes time
moves a clock (``tests.simulators.training_machine``).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.simulators.training_machine import Machine, Trained, train_for
from trainer.data.dataset import Photo
from trainer.fit.budget import CLOSING_SHARE, LEAST_PHOTOS, MEASURED_SHARE
from trainer.fit.speed import FOUND_S

STEP_S, PHOTO_S = 1.0, 0.1
# The load at a share of the minutes: 3 = everything takes three times as long.
LOADS: dict[str, Callable[[float], float]] = {
    "quiet": lambda _: 1,
    "busy": lambda _: 3,
    "overloaded": lambda _: 8,
    "busy from the middle on": lambda at: 1 if at < 0.5 else 3,
    "overloaded from the middle on": lambda at: 1 if at < 0.5 else 8,
    "overloaded at the end": lambda at: 1 if at < 0.85 else 8,
    "overloaded for a while": lambda at: 8 if 0.4 < at < 0.6 else 1,
    "quiet from the middle on": lambda at: 8 if at < 0.5 else 1,
    "in turns": lambda at: 4 if int(at * 40) % 2 else 1,
}


def photos(count: int) -> tuple[Photo, ...]:
    """Return photos of 640 px, every third of a good part."""
    box, label = np.array([[1, 1, 21, 21]], np.float32), np.zeros(1, np.int64)
    return tuple(
        Photo(
            Path(f"{i}.png"),
            f"{i:064x}",
            640,
            640,
            box[: i % 3],
            label[: i % 3],
        )
        for i in range(count)
    )


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, str], Trained]:
    """Return what trains for some minutes under a load."""

    def run(minutes: float, load: str, held_out: int = 225) -> Trained:
        of_share = LOADS[load]
        machine = Machine(STEP_S, PHOTO_S, lambda at_s: of_share(at_s / minutes / 60))
        machine.patch(monkeypatch)
        return train_for(minutes, machine, photos(300), photos(held_out))

    return run


@pytest.mark.parametrize(
    ("minutes", "load"),
    [
        (1, "quiet"),
        (1, "busy"),
        (1, "quiet from the middle on"),
        (5, "overloaded"),
        (5, "busy from the middle on"),
        (5, "in turns"),
        (10, "quiet"),
        (10, "overloaded from the middle on"),
        (10, "overloaded for a while"),
        (30, "overloaded at the end"),
        (60, "overloaded"),
        (60, "busy from the middle on"),
    ],
)
def test_measuring_takes_a_tenth_of_the_minutes_and_training_ends_in_time(
    train: Callable[..., Trained], minutes: float, load: str
) -> None:
    trained = train(minutes, load)
    assert trained.measured_share <= MEASURED_SHARE + 0.005
    assert 0.9 <= trained.took_share <= 1.1
    assert trained.phase == pytest.approx(1)
    assert trained.final_photos >= LEAST_PHOTOS


@pytest.mark.parametrize("minutes", [1, 2])
@pytest.mark.parametrize("load", LOADS)
def test_no_load_refuses_a_short_training_and_only_the_least_work_takes_longer(
    train: Callable[..., Trained], minutes: float, load: str
) -> None:
    trained = train(minutes, load)
    # The least work at the highest load: some steps until it is seen, and the photos.
    least_s = 8 * LEAST_PHOTOS * (PHOTO_S + FOUND_S) * CLOSING_SHARE
    seen_s = 8 * 4 * STEP_S
    assert trained.steps >= 1
    assert trained.final_photos >= LEAST_PHOTOS
    assert trained.measured_s <= MEASURED_SHARE * 60 * minutes + least_s
    assert trained.took_s <= 1.1 * 60 * minutes + least_s + seen_s


def test_work_without_time_is_left_out_and_stated(
    train: Callable[..., Trained],
) -> None:
    trained = train(10, "overloaded from the middle on")
    stated = " ".join(trained.reduced)
    assert "there is no time for each validation" in stated
    assert f"the run is measured on {trained.final_photos} of " in stated


def test_pace_that_is_higher_than_the_probe_said_measures_more_photos(
    train: Callable[..., Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(10, "overloaded").final_photos
    probed_slowly = train(10, "quiet").final_photos
    monkeypatch.setitem(LOADS, "slow probe", lambda at: 8 if at < 0.02 else 1)
    then_quiet = train(10, "slow probe")
    assert then_quiet.final_photos > 2 * first
    assert then_quiet.final_photos > 0.6 * probed_slowly
    assert then_quiet.measured_share <= MEASURED_SHARE + 0.005


def test_few_held_out_photos_are_all_measured(train: Callable[..., Trained]) -> None:
    trained = train(10, "quiet", held_out=60)
    assert trained.final_photos == 60
    assert trained.validations >= 5
    assert trained.measured_share <= MEASURED_SHARE
