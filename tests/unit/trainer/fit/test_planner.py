"""When a training ends and is validated, on a simulated clock."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.simulators.trainings import fresh_training
from trainer.data.dataset import Photo
from trainer.fit import planner
from trainer.fit.budget import PACE_KNOWN_AFTER, TimeBudget, closing_s
from trainer.fit.engine import Training
from trainer.fit.planner import Planner, TrainingClock
from trainer.fit.validation import Measurement, Validator
from trainer.run_record import ScheduleRecord


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(planner, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def photos(count: int) -> tuple[Photo, ...]:
    box = np.tile(np.array([[1, 1, 9, 9]], np.float32), (3, 1))
    labels = np.zeros(3, np.int64)
    return tuple(Photo(Path(f"{i}"), "", 64, 64, box, labels) for i in range(count))


class Probed(Validator):
    """A validator whose photos take no time."""

    def probe(self, model: object, *, is_new: bool = True) -> float:
        assert model
        self.photo_s = 0.01 if is_new else 0.02
        return self.photo_s


def validator() -> Validator:
    return Probed(photos(12), 1, (64, 64), may_end_early=True)


def unplanned_training() -> Training:
    """Return a training whose length a budget will decide."""
    training = fresh_training()
    training.schedule = replace(training.schedule, steps=5000)
    return training


def do_steps(training: Training, clock: TrainingClock, time: Clock, count: int) -> None:
    for _ in range(count):
        time.now_s += 0.5
        clock.end_step()
        training.step += 1


def test_pause_is_not_part_of_a_step(time: Clock) -> None:
    clock = TrainingClock()
    for _ in range(PACE_KNOWN_AFTER):
        time.now_s += 0.5
        clock.end_step()
        with clock.paused():
            time.now_s += 60
    assert clock.pace.step_s == pytest.approx(0.5)
    assert clock.seconds == pytest.approx(PACE_KNOWN_AFTER * 60.5)


def test_seconds_before_an_interruption_count(time: Clock) -> None:
    clock = TrainingClock()
    clock.add_earlier(40)
    time.now_s += 2
    assert clock.seconds == 42


def test_nothing_is_planned_before_the_pace_is_known(time: Clock) -> None:
    training, clock, subject = fresh_training(), TrainingClock(), validator()
    plan = Planner(training, subject, None, clock, None)
    do_steps(training, clock, time, PACE_KNOWN_AFTER - 1)
    plan.update()
    assert not plan.is_planned
    do_steps(training, clock, time, 1)
    plan.update()
    assert plan.is_planned
    assert plan.planned_steps == 10


def test_end_follows_the_budget(time: Clock) -> None:
    training, clock, subject = unplanned_training(), TrainingClock(), validator()
    budget = TimeBudget(100, time.now_s + 100)
    plan = Planner(training, subject, None, clock, budget)
    do_steps(training, clock, time, PACE_KNOWN_AFTER)
    plan.update()
    planned = training.schedule.steps
    assert 180 < planned < 200
    time.now_s += 30
    plan.update()
    assert training.schedule.steps == planned  # the clock is read at the end of a step
    clock.start_step()
    do_steps(training, clock, time, 1)
    plan.update()
    assert training.schedule.steps == pytest.approx(planned - 60, abs=2)


def test_budget_that_is_over_before_the_pace_is_known_ends_the_training(
    time: Clock,
) -> None:
    training, clock, subject = unplanned_training(), TrainingClock(), validator()
    budget = TimeBudget(6, time.now_s + 6)
    plan = Planner(training, subject, None, clock, budget)
    time.now_s += 2
    do_steps(training, clock, time, 1)
    plan.update()
    assert not training.is_finished
    time.now_s += 2
    do_steps(training, clock, time, 1)
    plan.update()
    assert training.is_finished
    assert training.step == 2


def test_detection_is_measured_again_when_there_are_detections(time: Clock) -> None:
    training, clock, subject = unplanned_training(), TrainingClock(), validator()
    plan = Planner(training, subject, None, clock, TimeBudget(60, time.now_s + 60))
    for _ in range(PACE_KNOWN_AFTER + 70):
        do_steps(training, clock, time, 1)
        plan.update()
    assert training.phase > planner.PROBED_AGAIN_AT
    assert subject.photo_s == (0.01 if subject.history else 0.02)


def test_final_measurement_is_not_counted_twice(time: Clock) -> None:
    """Where the last validation is on all photos, the end needs no other one."""
    training, clock, subject = unplanned_training(), TrainingClock(), validator()
    budget = TimeBudget(1000, time.now_s + 1000)
    plan = Planner(training, subject, None, clock, budget)
    do_steps(training, clock, time, PACE_KNOWN_AFTER)
    plan.update()
    assert len(subject.photos) == len(subject.held_out)
    detections_s = subject.count * 12 * 0.01
    left_s = budget.deadline_s - time.now_s - detections_s
    fitting = (left_s - (closing_s(12, 0.01) - 12 * 0.01)) / 0.5
    assert training.schedule.steps == pytest.approx(13 + fitting, abs=1)


def test_work_that_is_left_out_is_stated(time: Clock) -> None:
    training, clock, subject = unplanned_training(), TrainingClock(), validator()
    plan = Planner(
        training, subject, None, clock, TimeBudget(15, time.now_s + 15), None, ["first"]
    )
    stated: list[str] = []
    plan.on_reduced = stated.append
    subject.photo_s = 0.4
    do_steps(training, clock, time, PACE_KNOWN_AFTER)
    plan.update()
    assert stated == ["--minutes 0.25 is short: mAP is measured at the end only"]
    time.now_s += 20
    plan.state_end(9)
    part, late = (text.removeprefix("--minutes 0.25 is short: ") for text in stated[1:])
    assert part == "the run is measured on 9 of 12 photos"
    assert late == (
        "the training took 26 s; 13 steps and the measurement of 9 photos were the "
        "least work"
    )
    assert plan.reduced == ["first", *stated]


def test_validation_without_time_is_left_out_stated_once_and_repeated(
    time: Clock,
) -> None:
    training, clock, subject = unplanned_training(), TrainingClock(), validator()
    plan = Planner(training, subject, None, clock, TimeBudget(600, time.now_s + 600))
    do_steps(training, clock, time, PACE_KNOWN_AFTER)
    plan.update()
    assert plan.may_validate()
    clock.measured_s = 0.1 * 600  # by validations under load
    for _ in range(2):
        do_steps(training, clock, time, 1)
        assert not plan.may_validate()
    assert plan.unvalidated == [PACE_KNOWN_AFTER + 1, PACE_KNOWN_AFTER + 2]
    assert [text for text in plan.reduced if "validation" in text] == [
        "--minutes 10 is short: there is no time for each validation"
    ]
    record = ScheduleRecord(
        steps=600, steps_per_epoch=4, unvalidated=tuple(plan.unvalidated)
    )
    again = Planner(training, subject, None, clock, None, record)
    assert not again.may_validate()
    training.step += 1
    assert again.may_validate()


def test_run_without_minutes_validates_and_mines_whatever_it_costs(
    time: Clock,
) -> None:
    training, clock = fresh_training(), TrainingClock()
    plan = Planner(training, validator(), None, clock, None)
    clock.measured_s = time.now_s
    assert plan.may_validate()
    assert plan.may_mine()
    assert not plan.is_measured_enough(1e6)


def test_repeated_run_is_validated_as_often_from_the_same_step(time: Clock) -> None:
    training, clock, subject = fresh_training(), TrainingClock(), validator()
    record = ScheduleRecord(
        steps=20, steps_per_epoch=4, measurements=5, measured_photos=12
    )
    budget = TimeBudget(1, time.now_s + 1)
    plan = Planner(training, subject, None, clock, budget, record)
    assert plan.budget is None
    training.step = PACE_KNOWN_AFTER - 1
    plan.update()
    assert subject.count == 0
    training.step = PACE_KNOWN_AFTER  # also where it has just resumed
    plan.update()
    assert (subject.count, len(subject.photos)) == (5, 12)


def test_training_that_no_longer_improves_ends_within_a_quarter_of_its_rest(
    time: Clock,
) -> None:
    assert time.now_s
    training, subject = fresh_training(), validator()
    training.schedule = training.schedule.ending_at(100, now=0)
    plan = Planner(training, subject, None, TrainingClock(), None)
    subject.plan(10, 12)
    training.step = 60
    values = [0.1, 0.3, 0.5, 0.5, 0.5, 0.5]
    subject.history = [
        Measurement(10 * i, 0.1 * i, v, v) for i, v in enumerate(values, 1)
    ]
    plan.end_early()
    assert training.schedule.steps == 100  # it rose in the latest quarter
    subject.history += [Measurement(0, 0.1 * i, 0.5, 0.5) for i in (7, 8, 9)]
    plan.end_early()
    assert training.schedule.steps == 70
    assert training.schedule.phase(70) == 1
