"""From the first step to the last: counted in steps, kept on disk, held to the clock.

Steps are what counts; an epoch is only one pass over the photos, and the schedule may
end in the middle of one. A checkpoint is written before the first step, after each
epoch and every minute between, so that kill -9 at any step loses at most a minute.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.errors import ConfigError
from trainer.data.sample import Batch
from trainer.data.sampling.crops import CLOSE_UP_PHASE
from trainer.fit.budget import Pace, TimeBudget, closing_s
from trainer.fit.checkpoint import cannot_resume, load_checkpoint, save_checkpoint
from trainer.fit.engine import StepReport, Training, train_one_epoch
from trainer.fit.sampler import ResumableBatchSampler
from trainer.fit.validation import Measurement, Validator, measurements
from trainer.run import CurvePoint, ScheduleRecord

CHECKPOINT_EVERY_S = 60.0
ANNEALED_IN = 0.25  # of the steps that are left, when a training is cut short

OnStep = Callable[[int, StepReport], None]


class Loop:
    """One training, as far as it came.

    Args:
        training: Ready for its first step.
        loader: Batches in the order of ``order``.
        order: Told where each pass begins.
        watch: Measures on validation photos.
        budget: Time to keep to; None = the schedule stands.
        path: Of the checkpoint.
        notes: Plain values that the checkpoint carries; ``made_with`` must be the
            same when it is gone on from.
        on_step: Called with epoch and report.
    """

    def __init__(
        self,
        training: Training,
        loader: Iterable[Batch],
        order: ResumableBatchSampler,
        *,
        watch: Validator,
        budget: TimeBudget | None,
        path: Path,
        notes: Mapping[str, Any],
        on_step: OnStep,
    ) -> None:
        self.training, self.watch, self.budget = training, watch, budget
        self.curve: list[CurvePoint] = []
        self.is_planned = False
        self._loader, self._order, self._negatives = loader, order, order.negatives
        self._path, self._notes, self._on_step = path, notes, on_step
        self._pace = Pace()
        self._losses, self._loss_count = 0.0, 0  # of the epoch under way
        self._earlier_s, self._resumed = 0.0, False
        self._begun = self._mark = self._saved = time.monotonic()
        order.is_close_up = self._is_close_up

    def _is_close_up(self, step: int) -> bool:
        """Return whether close-ups are still looked at."""
        return self.training.schedule.phase(step) < CLOSE_UP_PHASE

    @property
    def seconds(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self._earlier_s + time.monotonic() - self._begun

    def prepare(self, repeated: ScheduleRecord | None, *, resume: bool) -> None:
        """Take over a schedule, and go on from the checkpoint, where that is asked.

        Args:
            repeated: Of the run to repeat.
            resume: Go on from the checkpoint.
        """
        if repeated:
            self.repeat(repeated)
        if resume:
            self.resume()
        self.training.team.require_same("steps done", str(self.training.step))

    def resume(self) -> None:
        """Go on from the checkpoint.

        Raises:
            TrainingError: There is none, it is damaged, or made with something else.
        """
        extra = load_checkpoint(self._path, self.training, self._notes["made_with"])
        try:
            self.curve = [CurvePoint.model_validate(point) for point in extra["curve"]]
            self._earlier_s = float(extra["seconds"])
            self._losses, self._loss_count = extra["losses"]
            self.is_planned = bool(extra["is_planned"])
            steps, past = extra["schedule"]
            schedule = replace(
                self.training.schedule,
                steps=int(steps),
                past=tuple((int(until), int(planned)) for until, planned in past),
            )
            self.watch.restore(extra["watch"])
            if self._negatives:
                self._negatives.restore(extra["negatives"])
        except (KeyError, TypeError, ValueError) as exc:
            raise cannot_resume(self._path, exc) from exc
        self.training.schedule = schedule
        self._resumed = True
        if self.budget:
            left_s = self.budget.deadline_s - self._earlier_s
            self.budget = replace(self.budget, deadline_s=left_s)

    def repeat(self, record: ScheduleRecord) -> None:
        """Take a finished schedule as it was, to the step; nothing is planned anew.

        Args:
            record: Of the run to repeat.
        """
        self.training.schedule = replace(
            self.training.schedule, steps=record.steps, past=record.past
        )
        self.watch.choose(record.measurements, record.measured_photos)
        self.is_planned, self.budget = True, None

    def run(self) -> list[CurvePoint]:
        """Do the steps that are left; return the curve of all.

        Raises:
            TrainingError: The loss is not finite, or the checkpoint cannot be written.
            ConfigError: The budget is too small.
        """
        training = self.training
        if not self._resumed:
            self._save()
        while training.step < training.schedule.steps:
            self._mine()
            self._order.go_to(training.step)
            train_one_epoch(training, self._batches(), self._after_step)
        return self.curve

    def record(self, kept_step: int | None) -> ScheduleRecord:
        """Return what was trained for how long.

        Args:
            kept_step: Step of the weights that were kept; None = the last.
        """
        schedule, watch = self.training.schedule, self.watch
        return ScheduleRecord(
            steps=schedule.steps,
            past=schedule.past,
            steps_per_epoch=self._order.steps_per_epoch,
            measurements=watch.count,
            measured_photos=len(watch.part),
            minutes=self.budget.total_s / 60 if self.budget else None,
            ended_early=watch.ended_early,
            kept_step=kept_step,
        )

    def _mine(self) -> None:
        """Look for hard negatives before a pass over the photos, where it is time."""
        training, negatives = self.training, self._negatives
        phase = training.schedule.phase(training.step)
        if not (negatives and negatives.is_due(phase)):
            return
        if training.team.is_leader:
            negatives.mine(training.average.model, phase)
        name, own = f"negatives {training.step}", json.dumps(negatives.state())
        negatives.restore(json.loads(training.team.text_of_leader(name, own)))
        self._save()

    def _batches(self) -> Iterator[Batch]:
        """Yield batches until the pass or the schedule is over."""
        self._mark = time.monotonic()
        for batch in self._loader:
            yield batch
            if self.training.step >= self.training.schedule.steps:
                return

    def _after_step(self, report: StepReport) -> None:
        """Count, plan, tell, measure and keep what is due after one step."""
        now = time.monotonic()
        self._pace.add(now - self._mark)
        self._mark = now
        self._losses += report.loss
        self._loss_count += 1
        self._plan(now)
        step, steps = self.training.step, self.training.schedule.steps
        epoch = self._order.epoch_of(step - 1)
        points = self.watch.points
        self._on_step(
            epoch,
            replace(
                report,
                planned=steps if self.is_planned or not self.budget else 0,
                map_50=points[-1].map_50 if points else None,
            ),
        )
        if step % self._order.steps_per_epoch == 0 or step >= steps:
            self._end_epoch(epoch)
            self._save()
        elif time.monotonic() - self._saved > CHECKPOINT_EVERY_S:
            self._save()

    def _plan(self, now: float) -> None:
        """Fit measurements and schedule to the pace, once it is known."""
        if not self._pace.is_known:
            return
        if not self.is_planned:
            begun = time.monotonic()
            if self.training.team.is_leader:
                self.watch.probe(self.training.average.model)
            self._first_plan(now)
            self._mark += time.monotonic() - begun
            self.is_planned = True
        elif self.budget:
            self._plan_again(self.budget, now)

    def _first_plan(self, now: float) -> None:
        """Choose the number of steps and of measurements; the leader's clock counts."""
        training, watch, team = self.training, self.watch, self.training.team
        steps = training.schedule.steps
        if self.budget:
            self._refuse_too_small(self.budget, now)
            steps = int(team.of_leader(self._fitting(self.budget, now)))
        chosen = (0, 0)
        if team.is_leader:
            train_s = steps * self._pace.step_s
            chosen = measurements(train_s, watch.photo_s, watch.photos)
        count, part = (int(team.of_leader(value)) for value in chosen)
        watch.choose(count, part)
        if self.budget:
            steps = int(team.of_leader(self._fitting(self.budget, now)))
            self._move_end(steps)

    def _refuse_too_small(self, budget: TimeBudget, now: float) -> None:
        """Stop where nothing can be learned in time; nobody could go on from that."""
        if not self.training.team.is_leader:
            return
        reserve_s = closing_s(self.watch.photos, self.watch.photo_s)
        try:
            step, step_s = self.training.step, self._pace.step_s
            budget.refuse_too_small(now, step, step_s, reserve_s)
        except ConfigError:
            self._path.unlink(missing_ok=True)
            raise

    def _plan_again(self, budget: TimeBudget, now: float) -> None:
        """Move the end of the schedule where the leader's clock says so."""
        planned = self.training.schedule.steps
        fitting = self._fitting(budget, now)
        is_off = budget.is_off(planned, fitting, self._pace.step_s)
        wanted = self.training.team.of_leader(fitting if is_off else planned)
        if wanted != planned:
            self._move_end(int(wanted))

    def _fitting(self, budget: TimeBudget, now: float) -> int:
        """Return the steps in all that end in time, with what comes besides."""
        reserve_s = closing_s(self.watch.photos, self.watch.photo_s)
        reserve_s += self.watch.left_s()
        if self._negatives:
            phase = self.training.schedule.phase(self.training.step)
            reserve_s += self._negatives.left_s(phase, self.watch.photo_s)
        return budget.steps(now, self.training.step, self._pace.step_s, reserve_s)

    def _move_end(self, steps: int) -> None:
        training = self.training
        training.schedule = training.schedule.ending_at(steps, now=training.step)

    def _end_epoch(self, epoch: int) -> None:
        """Add a point to the curve, measured where it is due."""
        training, watch = self.training, self.watch
        point = None
        if watch.is_due(training.schedule, training.step):
            begun = time.monotonic()
            point = self._measure()
            self._mark += time.monotonic() - begun
            left = training.schedule.steps - training.step
            if left > 1 and watch.should_end():
                self._move_end(training.step + max(1, round(left * ANNEALED_IN)))
        self.curve.append(
            CurvePoint(
                epoch=epoch,
                step=training.step,
                seconds=self.seconds,
                loss=self._losses / max(1, self._loss_count),
                map_33=point.map_33 if point else None,
                map_50=point.map_50 if point else None,
            )
        )
        self._losses, self._loss_count = 0.0, 0

    def _measure(self) -> Measurement:
        """Return what the leader's average is worth."""
        training, team = self.training, self.training.team
        model = training.average.model
        measured = self.watch.measure(model) if team.is_leader else (0.0, 0.0)
        map_33, map_50 = (team.of_leader(value) for value in measured)
        phase = training.schedule.phase(training.step)
        point = Measurement(training.step, phase, map_33, map_50)
        self.watch.add(point, model)
        return point

    def _save(self) -> None:
        """Write the checkpoint, where this process leads."""
        if not self.training.team.is_leader:
            return
        schedule = self.training.schedule
        extra = dict(self._notes) | {
            "curve": [point.model_dump() for point in self.curve],
            "seconds": self.seconds,
            "losses": (self._losses, self._loss_count),
            "is_planned": self.is_planned,
            "schedule": (schedule.steps, schedule.past),
            "watch": self.watch.state(),
            "negatives": self._negatives.state() if self._negatives else None,
        }
        save_checkpoint(self._path, self.training, extra)
        self._saved = time.monotonic()
