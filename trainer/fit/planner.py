"""Plans when the schedule of a training ends, and how often it is validated.

When the pace of the steps is known, the number of validations is chosen and, with a
budget of minutes, the end of the schedule. From then on the end is adapted to the
clock.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from models.counted import counted
from trainer.fit.budget import (
    CLOSING_S,
    CLOSING_SHARE,
    FINAL_SHARE,
    LEAST_PHOTOS,
    MINING_SHARE,
    PACE_KNOWN_AFTER,
    Pace,
    TimeBudget,
)
from trainer.fit.engine import Training
from trainer.fit.hard_negatives import HardNegatives
from trainer.fit.time_plan import WANTED_STEPS
from trainer.fit.validation import Validator, plan_validation
from trainer.run_record import ScheduleRecord

# Of the budget, for photos that are added: the load may be higher at the end.
SURE_SHARE = 0.75 * FINAL_SHARE
ANNEALED_IN = 0.25  # of the remaining steps, when a training is cut short
PROBED_AGAIN_AT = (
    0.5  # of the schedule: late enough for detections, early enough to act
)


class TrainingClock:
    """Measures the time of the steps and of the training.

    Attributes:
        now_s: Monotonic clock at the end of the latest step.
        pace: Seconds per step, without the work between steps (validation, mining).
        measured_s: Seconds of that work, including those before an interruption.
    """

    def __init__(self) -> None:
        self.pace, self.measured_s = Pace(), 0.0
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
        took_s = time.monotonic() - started_s
        self._mark_s += took_s
        self.measured_s += took_s


class Planner:
    """Decides when a training ends and how often it is validated.

    Args:
        training: Its schedule is replaced when the end moves.
        negatives: Their mining takes time too; None = nothing is mined.
        budget: None = the end of the schedule is not moved.
        repeated: Schedule of a run to repeat, used unchanged, to the step; then nothing
            is planned and there is no budget.
        reduced: What the minutes leave no time for, in words.

    Attributes:
        on_reduced: Called when more is left out.
        is_planned: Whether pace and plan are known.
        unvalidated: Steps after which a validation was due and had no time.
        unmined: Steps before which a round of mining was due and had no time.
    """

    def __init__(
        self,
        training: Training,
        validator: Validator,
        negatives: HardNegatives | None,
        clock: TrainingClock,
        budget: TimeBudget | None,
        repeated: ScheduleRecord | None = None,
        reduced: Sequence[str] = (),
    ) -> None:
        self.is_planned = self._is_probed_again = False
        self.reduced = list(reduced)
        self.on_reduced: Callable[[str], None] = lambda _: None
        self.budget = None if repeated else budget
        self._training, self._validator = training, validator
        self._negatives, self._clock, self._repeated = negatives, clock, repeated
        self.unvalidated: list[int] = list(repeated.unvalidated if repeated else ())
        self.unmined: list[int] = list(repeated.unmined if repeated else ())
        # Seconds of a step when `photo_s` of the validator was measured: the load of
        # the machine may change after it.
        self._probed_pace_s = self._probed_photo_s = 0.0
        if self.budget and validator.photo_s:
            self._limit_mining(self.budget)

    @property
    def planned_steps(self) -> int:
        """Steps in total, as planned now."""
        return self._training.schedule.steps

    def update(self) -> None:
        """Fit validations and schedule to the pace, once it is known."""
        self._note_probe()
        if self._repeated:
            # Planned at the step at which the first training knew its pace, so that
            # both validate at the same steps.
            if self._training.step >= PACE_KNOWN_AFTER and not self.is_planned:
                self._validator.plan(
                    self._repeated.measurements, self._repeated.measured_photos
                )
                self.is_planned = True
        elif not self._clock.pace.is_known:
            if self.budget:
                self._end_in_time(self.budget)
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

    def may_validate(self) -> bool:
        """Return whether there is time for the validation that is due now."""
        photos, held_out = len(self._validator.photos), self._validator.held_out
        needed_s = photos * self._photo_s()
        if self._training.is_finished and photos == len(held_out):
            needed_s *= CLOSING_SHARE  # it is the measurement at the end
        else:
            needed_s += self._final_s()
        return self._may_measure(needed_s, self.unvalidated, "validation")

    def may_mine(self) -> bool:
        """Return whether there is time for the round of mining that is due now."""
        photos = self._negatives.next_count if self._negatives else 0
        needed_s = photos * self._photo_s() + self._final_s()
        return self._may_measure(needed_s, self.unmined, "search for hard negatives")

    def is_measured_enough(self, final_s: float) -> bool:
        """Return whether the measurement at the end has had its time.

        Args:
            final_s: Seconds that it takes, thresholds and report included.
        """
        spent_s = self._clock.measured_s + final_s
        return self.budget is not None and spent_s > self.budget.measured_s

    def _may_measure(self, needed_s: float, left_out: list[int], name: str) -> bool:
        """Return the leader's decision; what is left out is recorded."""
        step = self._training.step
        if self._repeated:
            return step not in left_out
        if not self.budget:
            return True
        fits = self._clock.measured_s + needed_s <= self.budget.measured_s
        if not self._training.group.leader_number(fits):
            if not left_out:
                self._leave_out(f"there is no time for each {name}")
            left_out.append(step)
        return step not in left_out

    def _note_probe(self) -> None:
        """Note the pace at which the time of a photo was measured."""
        photo_s, pace = self._validator.photo_s, self._clock.pace
        if pace.is_known and photo_s != self._probed_photo_s:
            self._probed_photo_s, self._probed_pace_s = photo_s, pace.step_s

    def _photo_s(self) -> float:
        """Return the seconds of a photo at the present load of the machine."""
        self._note_probe()
        if not self._probed_pace_s:
            return self._validator.photo_s
        return self._validator.photo_s * self._clock.pace.step_s / self._probed_pace_s

    def _final_s(self) -> float:
        """Return the seconds of the measurement at the end, at the present load."""
        validator = self._validator
        each_s = self._photo_s() * CLOSING_SHARE
        needed_s = validator.final_count * each_s
        if not (self.budget and validator.selects):
            return needed_s
        least_s = min(LEAST_PHOTOS, validator.final_count) * each_s
        return max(least_s, min(needed_s, FINAL_SHARE * self.budget.total_s))

    def state_end(self, photos: int) -> None:
        """State in words what the end of a budget has left out.

        Args:
            photos: That were measured.
        """
        if not self.budget:
            return
        planned = self._validator.final_count
        if photos < planned:
            self._leave_out(f"the run is measured on {photos} of {planned} photos")
        now_s = time.monotonic()
        if self.budget.is_late(now_s):
            took_s = self.budget.total_s + now_s - self.budget.deadline_s
            self._leave_out(
                f"the training took {took_s:.0f} s; "
                f"{counted(self._training.step, 'step')} and the measurement of "
                f"{counted(photos, 'photo')} were the least work"
            )

    def _leave_out(self, text: str) -> None:
        if self.budget:
            text = f"--minutes {self.budget.total_s / 60:g} is short: {text}"
            self.reduced.append(text)
            self.on_reduced(text)

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
            is_new = not validator.photo_s
            if group.is_leader and is_new:
                validator.probe(training.average.model)
            steps = training.schedule.steps
            if self.budget:
                if is_new:
                    self._limit_mining(self.budget)
                self._measure_more(self.budget)
                steps = int(group.leader_number(self._fitting_steps(self.budget)))
            chosen = (0, 0)
            if group.is_leader:
                train_s = steps * self._clock.pace.step_s
                chosen = plan_validation(
                    train_s, self._photo_s(), len(validator.defective), self._other_s()
                )
            count, photos = (int(group.leader_number(value)) for value in chosen)
            validator.plan(count, photos)
            if self.budget:  # again: now with the time of the validations
                steps = int(group.leader_number(self._fitting_steps(self.budget)))
                training.end_at(steps)
                if not count:
                    self._leave_out("mAP is measured at the end only")

    def _measure_more(self, budget: TimeBudget) -> None:
        """Plan more photos for the end where the pace leaves time for them.

        What was measured before the training may have been slower: its first step is.
        """
        validator, group = self._validator, self._training.group
        before, each_s = validator.final_count, self._photo_s() * CLOSING_SHARE
        if not validator.selects or before >= len(validator.held_out):
            return
        in_time = math.floor(SURE_SHARE * budget.total_s / max(each_s, 1e-6))
        in_time = int(group.leader_number(min(len(validator.held_out), in_time)))
        validator.final_count = max(before, in_time)
        steps = int(group.leader_number(self._fitting_steps(budget)))
        if steps < WANTED_STEPS:
            validator.final_count = before

    def _limit_mining(self, budget: TimeBudget) -> None:
        if self._negatives:
            seconds = MINING_SHARE * budget.total_s
            photo_s = self._training.group.leader_number(self._photo_s())
            self._negatives.limit(seconds, photo_s)

    def _mining_s(self) -> float:
        """Return the seconds of the remaining rounds of mining."""
        if not self._negatives:
            return 0.0
        return self._negatives.remaining_s(self._training.phase, self._photo_s())

    def _other_s(self) -> float:
        """Return the seconds that are left for validations."""
        if not self.budget:
            return math.inf
        spent_s = self._clock.measured_s + self._final_s() + self._mining_s()
        return self.budget.measured_s - spent_s

    def _end_in_time(self, budget: TimeBudget) -> None:
        """Follow the clock before the pace is known: a short training ends here."""
        training, step_s = self._training, self._clock.pace.latest_s
        fitting = budget.steps(
            self._clock.now_s, training.step, step_s, self._closing_s()
        )
        # The first step is slower than the others: it may end a training, never
        # shorten or lengthen it.
        if training.step > 1 or fitting == training.step:
            self._move_end(budget, fitting, step_s)

    def _closing_s(self) -> float:
        """Return the seconds after the last step."""
        validator, needed_s = self._validator, self._final_s()
        if validator.count and len(validator.photos) == len(validator.held_out):
            # The last validation is the final measurement: not made twice.
            needed_s -= needed_s / CLOSING_SHARE
        return CLOSING_S + needed_s

    def _probe_again(self) -> None:
        """Measure the detection once more, now that there are detections.

        The first measure is a guess, and other programs may have used the machine: a
        training was seen to end at two thirds of its minutes.
        """
        training, validator = self._training, self._validator
        if self._is_probed_again or training.phase < PROBED_AGAIN_AT:
            return
        self._is_probed_again = True
        if training.group.is_leader and not validator.history:
            with self._clock.paused():
                validator.probe(training.average.model, is_new=False)

    def _follow(self, budget: TimeBudget) -> None:
        """Move the end of the schedule if it no longer fits the leader's clock."""
        self._probe_again()
        self._move_end(budget, self._fitting_steps(budget), self._clock.pace.step_s)

    def _move_end(self, budget: TimeBudget, fitting: int, step_s: float) -> None:
        planned = self._training.schedule.steps
        is_off = budget.is_off(planned, fitting, step_s)
        wanted = self._training.group.leader_number(fitting if is_off else planned)
        if wanted != planned:
            self._training.end_at(int(wanted))

    def _fitting_steps(self, budget: TimeBudget) -> int:
        """Return the total of steps that end in time, besides all other work."""
        # What has no time left is not done: see `may_validate`.
        most_s = budget.measured_s - self._clock.measured_s - self._final_s()
        other_s = self._validator.remaining_s(self._photo_s()) + self._mining_s()
        reserve_s = self._closing_s() + max(0.0, min(other_s, most_s))
        step, step_s = self._training.step, self._clock.pace.step_s
        return budget.steps(self._clock.now_s, step, step_s, reserve_s)
