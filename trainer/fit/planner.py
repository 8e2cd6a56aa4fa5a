"""Plans when the schedule of a training ends, and how often it is validated.

When the pace of the steps is known, the number of validations is chosen and, with a
budget of minutes, the end of the schedule. From then on the end is adapted to the
clock.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from trainer.fit.budget import (
    PACE_KNOWN_AFTER,
    Pace,
    TimeBudget,
    closing_s,
)
from trainer.fit.engine import Training
from trainer.fit.hard_negatives import HardNegatives
from trainer.fit.validation import Validator, plan_validation
from trainer.run import ScheduleRecord

ANNEALED_IN = 0.25  # of the remaining steps, when a training is cut short


class TrainingClock:
    """Measures the time of the steps and of the training.

    Attributes:
        now_s: Monotonic clock at the end of the latest step.
        pace: Seconds per step, without the work between steps (validation, mining).
    """

    def __init__(self) -> None:
        self.pace = Pace()
        self.now_s = self._started_s = self._mark_s = time.monotonic()
        self._earlier_s = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training, including those before an interruption."""
        return self._earlier_s + time.monotonic() - self._started_s

    def add_earlier(self, seconds: float) -> None:
        """Add the seconds of a training before it was interrupted."""
        self._earlier_s = seconds

    def start_step(self) -> None:
        """Start the time of a step here; otherwise it starts at the last one's end."""
        self._mark_s = time.monotonic()

    def end_step(self) -> None:
        """Count the step that has just ended."""
        self.now_s = time.monotonic()
        self.pace.add(self.now_s - self._mark_s)
        self._mark_s = self.now_s

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time of the block from the step's time."""
        started_s = time.monotonic()
        yield
        self._mark_s += time.monotonic() - started_s


class Planner:
    """Decides when a training ends and how often it is validated.

    Args:
        training: Its schedule is replaced when the end moves.
        negatives: Their mining takes time too; None = nothing is mined.
        budget: None = the end of the schedule is not moved.
        repeated: Schedule of a run to repeat, used unchanged, to the step; then nothing
            is planned and there is no budget.

    Attributes:
        is_planned: Whether pace and plan are known.
    """

    def __init__(
        self,
        training: Training,
        validator: Validator,
        negatives: HardNegatives | None,
        clock: TrainingClock,
        budget: TimeBudget | None,
        repeated: ScheduleRecord | None = None,
    ) -> None:
        self.is_planned = False
        self.budget = None if repeated else budget
        self._training, self._validator = training, validator
        self._negatives, self._clock, self._repeated = negatives, clock, repeated

    @property
    def planned_steps(self) -> int:
        """Steps in total; 0 = a budget decides, and they are not known yet."""
        is_known = self.is_planned or not self.budget
        return self._training.schedule.steps if is_known else 0

    def update(self) -> None:
        """Fit validations and schedule to the pace, once it is known.

        Raises:
            ConfigError: The budget is too small to learn anything.
        """
        if self._repeated:
            # Planned at the step at which the first training knew its pace, so that
            # both validate at the same steps.
            if self._training.step >= PACE_KNOWN_AFTER and not self.is_planned:
                self._validator.plan(
                    self._repeated.measurements, self._repeated.measured_photos
                )
                self.is_planned = True
        elif not self._clock.pace.is_known:
            return
        elif not self.is_planned:
            self._plan()
            self.is_planned = True
        elif self.budget:
            self._follow(self.budget)

    def resume(self, *, is_planned: bool, earlier_s: float) -> None:
        """Continue a plan.

        Args:
            is_planned: Whether the interrupted training had planned.
            earlier_s: Seconds that it took; they count towards the budget.
        """
        self.is_planned = is_planned
        if self.budget:
            deadline_s = self.budget.deadline_s - earlier_s
            self.budget = replace(self.budget, deadline_s=deadline_s)

    def end_early(self) -> None:
        """Shorten the rest of the schedule if training no longer improves the network.

        A training must not end at a high learning rate, so the cosine still reaches its
        end, in a quarter of the remaining steps.
        """
        training = self._training
        remaining = training.schedule.steps - training.step
        if remaining > 1 and self._validator.should_end():
            training.end_at(training.step + max(1, round(remaining * ANNEALED_IN)))

    def _plan(self) -> None:
        """Choose the number of steps and of validations; the leader's clock counts."""
        training, validator, group = (
            self._training,
            self._validator,
            self._training.group,
        )
        with self._clock.paused():
            if group.is_leader:
                validator.probe(training.average.model)
            steps = training.schedule.steps
            if self.budget:
                self._refuse_too_small(self.budget)
                steps = int(group.leader_number(self._fitting_steps(self.budget)))
            chosen = (0, 0)
            if group.is_leader:
                train_s = steps * self._clock.pace.step_s
                chosen = plan_validation(
                    train_s, validator.photo_s, len(validator.held_out)
                )
            count, photos = (int(group.leader_number(value)) for value in chosen)
            validator.plan(count, photos)
            if self.budget:  # again: now with the time of the validations
                steps = int(group.leader_number(self._fitting_steps(self.budget)))
                training.end_at(steps)

    def _refuse_too_small(self, budget: TimeBudget) -> None:
        if self._training.group.is_leader:
            reserve_s = closing_s(
                len(self._validator.held_out), self._validator.photo_s
            )
            step, step_s = self._training.step, self._clock.pace.step_s
            budget.refuse_too_small(self._clock.now_s, step, step_s, reserve_s)

    def _follow(self, budget: TimeBudget) -> None:
        """Move the end of the schedule if it no longer fits the leader's clock."""
        planned = self._training.schedule.steps
        fitting = self._fitting_steps(budget)
        is_off = budget.is_off(planned, fitting, self._clock.pace.step_s)
        wanted = self._training.group.leader_number(fitting if is_off else planned)
        if wanted != planned:
            self._training.end_at(int(wanted))

    def _fitting_steps(self, budget: TimeBudget) -> int:
        """Return the total of steps that end in time, besides all other work."""
        validator, training = self._validator, self._training
        reserve_s = closing_s(len(validator.held_out), validator.photo_s)
        reserve_s += validator.remaining_s()
        if self._negatives:
            reserve_s += self._negatives.remaining_s(training.phase, validator.photo_s)
        step_s = self._clock.pace.step_s
        return budget.steps(self._clock.now_s, training.step, step_s, reserve_s)
