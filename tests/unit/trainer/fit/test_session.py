"""A training with its plan and its curve, as a checkpoint holds it."""

from pathlib import Path

import numpy as np
import pytest

from tests.simulators.trainings import fresh_training
from trainer.data.dataset import Photo
from trainer.fit.budget import TimeBudget
from trainer.fit.planner import Planner, TrainingClock
from trainer.fit.session import TrainingCurve, TrainingSession
from trainer.fit.time_plan import TimePlan
from trainer.fit.validation import Measurement, Validator

STEPS_PER_EPOCH = 4


def session(budget: TimeBudget | None = None) -> TrainingSession:
    box = np.array([[1, 1, 9, 9]], np.float32)
    photos = tuple(
        Photo(Path(f"{i}"), "", 64, 64, box, np.zeros(1, np.int64)) for i in range(6)
    )
    training, clock = fresh_training(), TrainingClock()
    validator = Validator(photos, 1, (64, 64), may_end_early=False)
    planner = Planner(training, validator, None, clock, budget)
    return TrainingSession(
        training,
        clock,
        planner,
        validator,
        None,
        TrainingCurve(),
        STEPS_PER_EPOCH,
        TimePlan(),
    )


def interrupted() -> TrainingSession:
    """Return a session in its second epoch."""
    result = session()
    result.training.step = 5
    result.training.end_at(30)
    result.curve.add_loss(3.0)
    result.curve.end_epoch(1, 4, 2.5, Measurement(4, 0.2, 0.5, 0.25))
    result.curve.add_loss(2.0)
    result.validator.plan(5, 6)
    result.validator.history.append(Measurement(4, 0.2, 0.5, 0.25))
    result.planner.is_planned = True
    return result


def test_restored_session_has_curve_plan_and_validations() -> None:
    before, after = interrupted(), session()
    after.restore(before.state())
    assert after.curve == before.curve
    assert after.training.schedule == before.training.schedule
    assert after.planner.is_planned
    assert after.validator.history == before.validator.history
    paths = [[p.path for p in each.validator.photos] for each in (before, after)]
    assert paths[0] == paths[1]
    assert after.clock.seconds >= before.clock.seconds - 1


def test_seconds_before_the_interruption_are_part_of_the_budget() -> None:
    after = session(TimeBudget(60, 1060))
    after.restore(interrupted().state() | {"seconds": 40.0})
    assert after.planner.budget
    assert after.planner.budget.deadline_s == pytest.approx(1020)


@pytest.mark.parametrize("part", ["curve", "losses", "schedule", "watch", "seconds"])
def test_state_without_a_part_changes_nothing(part: str) -> None:
    state = interrupted().state()
    del state[part]
    after = session()
    with pytest.raises(KeyError, match=part):
        after.restore(state)
    assert after.curve == TrainingCurve()
    assert after.training.schedule == session().training.schedule


def test_epoch_ends_with_the_mean_of_its_losses() -> None:
    curve = TrainingCurve()
    for loss in (1.0, 3.0):
        curve.add_loss(loss)
    curve.end_epoch(1, 2, 0.5, None)
    assert (curve.points[0].loss, curve.points[0].map_50) == (2.0, None)
    assert (curve.loss_sum, curve.loss_count) == (0.0, 0)


def test_report_is_of_the_latest_step() -> None:
    subject = interrupted()
    report = subject.report(loss=2.0)
    assert (subject.epoch, subject.is_epoch_boundary) == (2, False)
    assert (report.step, report.loss) == (5, 2.0)
    assert report.learning_rate == subject.training.schedule.at(4)
    assert (report.planned, report.map_50) == (30, 0.25)


def test_record_holds_what_a_repeated_run_needs() -> None:
    record = interrupted().schedule_record(4, final_photos=5)
    assert (record.steps, record.past) == (30, ((5, 10),))
    assert (record.measurements, record.measured_photos) == (5, 6)
    assert (record.steps_per_epoch, record.kept_step) == (STEPS_PER_EPOCH, 4)
    assert record.minutes is None
    assert record.final_photos == 5
    assert interrupted().schedule_record(4, final_photos=6).final_photos == 0


def test_report_names_the_photos_that_map_was_measured_on() -> None:
    subject = interrupted()
    subject.validator.final_count = 5
    report = subject.report(loss=2.0)
    held_out = len(subject.validator.held_out)
    assert (report.map_photos, report.held_out) == (6, held_out)
    subject.curve.end_epoch(2, 8, 5.0, Measurement(8, 0.4, 0.5, 0.25, photos=6))
    assert [point.photos for point in subject.curve.points] == [None, 6]
