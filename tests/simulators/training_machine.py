"""A machine that trains in simulated time: the real loop, plan and validator.

Steps, detections and scoring move a clock instead of being done. The load stretches
them: at a load of 3, each takes three times as long.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from models.detections import Detections, no_detections
from tests.simulators.trainings import fresh_training
from trainer.data.dataset import Photo
from trainer.evaluation import part
from trainer.fit import planner, recipe, validation
from trainer.fit.budget import CLOSING_S, CLOSING_SHARE, TimeBudget
from trainer.fit.hard_negatives import HardNegatives
from trainer.fit.options import TrainOptions, resolve
from trainer.fit.planner import Planner, TrainingClock
from trainer.fit.session import TrainingCurve, TrainingSession
from trainer.fit.speed import FOUND_S, Speed
from trainer.fit.time_plan import fit_to_time
from trainer.fit.validation import Validator

Load = Callable[[float], float]  # of the seconds since the start

STARTED_S = 1000.0
SLICE_S = 0.05  # of work done at one load
PROBE_STEPS, PROBE_PHOTOS = 3, 3  # work of ``measure_speed``


@dataclass
class Machine:
    """The clock, and what was done until now.

    Attributes:
        step_s: Seconds of one step without load, at the largest input.
        photo_s: Seconds to detect on a photo without load, at the largest input.
        measured_s: Seconds spent on validation, mining and the measurement at the end.
    """

    step_s: float
    photo_s: float
    load: Load
    now_s: float = STARTED_S
    cpu_s: float = 0.0
    measured_s: float = 0.0
    scale: float = 1.0  # of the input's pixels
    parts: dict[str, float] = field(default_factory=dict)

    def work(self, seconds: float) -> float:
        """Do work that takes so long without load; return how long it took."""
        started_s = self.now_s
        self.cpu_s += seconds
        while seconds > 0:
            done = min(SLICE_S, seconds)
            self.now_s += done * self.load(self.now_s - STARTED_S)
            seconds -= done
        return self.now_s - started_s

    def measure(self, photos: int, share: float = 1.0) -> float:
        """Detect on photos with a trained network."""
        took_s = self.work(photos * share * (self.photo_s * self.scale + FOUND_S))
        self.measured_s += took_s
        return took_s

    def train_step(self, training: Any, images: object, targets: object) -> float:
        """Do one step of a training."""
        self.work(self.step_s * self.scale)
        training.step += 1
        return 0.0

    def predict(self, _: object, photos: Sequence[Photo], *__: object) -> list[Any]:
        """Detect on photos; nothing is found."""
        self.measure(len(photos))
        return [no_detections() for _ in photos]

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the trainer run on this machine."""
        clock = SimpleNamespace(
            monotonic=lambda: self.now_s, process_time=lambda: self.cpu_s
        )
        for module in (planner, validation, recipe):
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(recipe, "train_step", self.train_step)
        monkeypatch.setattr(recipe, "tiled", lambda *_: None)
        monkeypatch.setattr(recipe, "TorchDetector", lambda *_: None)
        monkeypatch.setattr(
            part,
            "predict_photos",
            lambda _, photos, *__, **___: self.predict(_, photos),
        )


class SimValidator(Validator):
    """A validator whose photos are detected on the simulated machine."""

    machine: Machine

    def predict(self, model: nn.Module, photos: Sequence[Photo]) -> list[Detections]:
        """Detect on photos; nothing is found."""
        return self.machine.predict(model, photos)


class SimObserver:
    """Shows nothing."""

    def step(self, *_: object) -> None:
        """Ignore a step."""

    def measuring(self, _: int) -> Callable[[], None]:
        """Return what ignores a photo."""
        return lambda: None


@dataclass(frozen=True)
class Trained:
    """What a training of some minutes did."""

    minutes: float
    took_s: float
    measured_s: float
    steps: int
    validations: int
    final_photos: int
    held_out: int
    phase: float
    reduced: tuple[str, ...]

    @property
    def took_share(self) -> float:
        """Seconds taken, as a share of the minutes."""
        return self.took_s / (60 * self.minutes)

    @property
    def measured_share(self) -> float:
        """Seconds spent measuring, as a share of the minutes."""
        return self.measured_s / (60 * self.minutes)


def train_for(
    minutes: float,
    machine: Machine,
    trained_on: tuple[Photo, ...],
    held_out: tuple[Photo, ...],
    *,
    batch: int = 8,
) -> Trained:
    """Train for some minutes on a patched machine."""
    options = TrainOptions(weights="none", batch=batch, minutes=minutes)
    budget = TimeBudget(60 * minutes, STARTED_S + 60 * minutes)
    chosen = resolve(options, trained_on)
    pixels = chosen.input_height_px * chosen.input_width_px
    # As `measure_speed`: a step and some photos of a new network, at today's load.
    step_s = machine.work(machine.step_s * PROBE_STEPS) / PROBE_STEPS
    photo_s = machine.work(machine.photo_s * PROBE_PHOTOS) / PROBE_PHOTOS
    load = machine.load(machine.now_s - STARTED_S)
    speed = Speed(0.0, step_s, 0.0, photo_s, FOUND_S * load, pixels, pixels)
    left_s = budget.deadline_s - machine.now_s
    plan = fit_to_time(options, chosen, trained_on, held_out, speed, left_s)
    chosen = resolve(plan.apply(options), trained_on)
    machine.scale = chosen.input_height_px * chosen.input_width_px / pixels

    training = fresh_training()
    training.schedule = replace(
        training.schedule, steps=plan.steps, warmup_steps=plan.warmup_steps
    )
    validator = SimValidator(held_out, 1, (64, 64), may_end_early=False)
    validator.machine = machine
    validator.final_count = plan.final_photos or len(held_out)
    validator.photo_s = plan.photo_s
    negatives = HardNegatives(trained_on, validator.predict)
    timed = Planner(
        training, validator, negatives, TrainingClock(), budget, None, plan.reduced
    )
    session = TrainingSession(
        training,
        timed._clock,  # noqa: SLF001 - the clock of this planner
        timed,
        validator,
        negatives,
        TrainingCurve(),
        max(1, len(trained_on) // batch),
        plan,
    )
    checkpoint = SimpleNamespace(save=lambda _: None, is_due=False)
    recipe._train_steps(session, _no_batches(), checkpoint, SimObserver())  # type: ignore[arg-type]  # noqa: SLF001
    kept_step = validator.restore_best(training.average.model)
    photos, _ = recipe._measured(session, chosen, kept_step, SimObserver())  # type: ignore[arg-type]  # noqa: SLF001
    machine.measure(len(photos), CLOSING_SHARE - 1)
    machine.work(CLOSING_S / 2)
    timed.state_end(len(photos))
    return Trained(
        minutes,
        machine.now_s - STARTED_S,
        machine.measured_s,
        training.step,
        len(validator.history),
        len(photos),
        len(held_out),
        training.phase,
        tuple(timed.reduced),
    )


def _no_batches() -> Any:
    while True:
        yield (), ()
