"""A training with all its state: the content of a checkpoint, and how it resumes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trainer.fit.engine import StepReport, Training
from trainer.fit.hard_negatives import HardNegatives
from trainer.fit.planner import Planner, TrainingClock
from trainer.fit.time_plan import TimePlan
from trainer.fit.validation import Measurement, Validator
from trainer.run_record import CurvePoint, ScheduleRecord


@dataclass(slots=True)
class TrainingCurve:
    """The finished epochs, and the losses of the one in progress."""

    points: list[CurvePoint] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_count: int = 0

    @property
    def seconds(self) -> float:
        """Training time up to the last point; 0 without one."""
        return self.points[-1].seconds if self.points else 0.0

    def add_loss(self, loss: float) -> None:
        """Count the loss of one step."""
        self.loss_sum += loss
        self.loss_count += 1

    def end_epoch(
        self, epoch: int, step: int, seconds: float, measurement: Measurement | None
    ) -> None:
        """Add a point.

        Args:
            epoch: Counted from 1.
            step: Steps done.
            seconds: Since the start of training.
            measurement: Validation at its end; None = not validated.
        """
        self.points.append(
            CurvePoint(
                epoch=epoch,
                step=step,
                seconds=seconds,
                loss=self.loss_sum / max(1, self.loss_count),
                map_33=measurement.map_33 if measurement else None,
                map_50=measurement.map_50 if measurement else None,
                photos=measurement.photos or None if measurement else None,
            )
        )
        self.loss_sum, self.loss_count = 0.0, 0


@dataclass(frozen=True, slots=True)
class TrainingSession:
    """One training: the network, its clock and plan, its validation, its curve.

    Attributes:
        negatives: None = nothing is mined.
        steps_per_epoch: Over all processes.
        plan: What a budget of minutes allows.
    """

    training: Training
    clock: TrainingClock
    planner: Planner
    validator: Validator
    negatives: HardNegatives | None
    curve: TrainingCurve
    steps_per_epoch: int
    plan: TimePlan

    @property
    def is_epoch_boundary(self) -> bool:
        """Whether the next step is the first one of an epoch."""
        return self.training.step % self.steps_per_epoch == 0

    @property
    def epoch(self) -> int:
        """The epoch of the latest step, counted from 1."""
        return (self.training.step - 1) // self.steps_per_epoch + 1

    def report(self, loss: float) -> StepReport:
        """Return the report of the latest step for the observer."""
        training = self.training
        return StepReport(
            training.step,
            loss,
            training.schedule.at(training.step - 1),
            self.planner.planned_steps,
            self.validator.latest_map_50,
            len(self.validator.photos),
            # Not the planned number: a part is another one than that of validations.
            len(self.validator.held_out),
        )

    def mine_negatives(self) -> bool:
        """Mine good photos for false alarms if it is due; return whether it was.

        The leader's centres are used: all processes cut the same crops.
        """
        training, negatives = self.training, self.negatives
        if not (negatives and negatives.is_due(training.phase)):
            return False
        if not self.planner.may_mine():
            return False
        if training.group.is_leader:
            negatives.mine(training.average.model, training.phase)
        name, own = f"negatives {training.step}", json.dumps(negatives.state())
        negatives.restore(json.loads(training.group.leader_text(name, own)))
        return True

    def schedule_record(
        self, kept_step: int | None, final_photos: int
    ) -> ScheduleRecord:
        """Return duration and schedule of the training, for the record.

        Args:
            kept_step: Step of the weights that were kept; None = the last.
            final_photos: Photos of the measurement at the end.
        """
        schedule, budget = self.training.schedule, self.planner.budget
        held_out = len(self.validator.held_out)
        return ScheduleRecord(
            steps=schedule.steps,
            past=schedule.past,
            steps_per_epoch=self.steps_per_epoch,
            measurements=self.validator.count,
            measured_photos=len(self.validator.photos),
            final_photos=final_photos if final_photos < held_out else 0,
            mined_photos=self.negatives.max_photos if self.negatives else None,
            unvalidated=tuple(self.planner.unvalidated),
            unmined=tuple(self.planner.unmined),
            reduced=tuple(self.planner.reduced),
            minutes=budget.total_s / 60 if budget else None,
            ended_early=self.validator.ended_early,
            kept_step=kept_step,
        )

    def state(self) -> dict[str, Any]:
        """Return the state of a checkpoint besides network and optimizer."""
        schedule = self.training.schedule
        return {
            "curve": [point.model_dump() for point in self.curve.points],
            "seconds": self.clock.seconds,
            "losses": (self.curve.loss_sum, self.curve.loss_count),
            "is_planned": self.planner.is_planned,
            "measured_s": self.clock.measured_s,
            "left_out": (self.planner.unvalidated, self.planner.unmined),
            "schedule": (schedule.steps, schedule.past),
            "watch": self.validator.state(),
            "negatives": self.negatives.state() if self.negatives else None,
            "time_plan": replace(
                self.plan,
                reduced=tuple(self.planner.reduced),
                final_photos=self.validator.final_count % len(self.validator.held_out),
            ).state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint.

        Args:
            state: From ``state``.

        Raises:
            KeyError: A part is missing.
            TypeError: A part has another form.
            ValueError: A part has another value.
        """
        curve = [CurvePoint.model_validate(point) for point in state["curve"]]
        loss_sum, loss_count = state["losses"]
        steps, past = state["schedule"]
        schedule = replace(
            self.training.schedule,
            steps=int(steps),
            past=tuple((int(until), int(planned)) for until, planned in past),
        )
        earlier_s = float(state["seconds"])
        is_planned = bool(state["is_planned"])
        self.validator.restore(state["watch"])
        if self.negatives:
            self.negatives.restore(state["negatives"])
        self.training.schedule = schedule
        self.curve.points = curve
        self.curve.loss_sum, self.curve.loss_count = loss_sum, loss_count
        self.clock.add_earlier(earlier_s)
        self.clock.measured_s = float(state.get("measured_s", 0.0))  # not in 0.1
        unvalidated, unmined = state.get("left_out", ((), ()))
        self.planner.unvalidated = [int(step) for step in unvalidated]
        self.planner.unmined = [int(step) for step in unmined]
        self.planner.resume(is_planned=is_planned, earlier_s=earlier_s)
