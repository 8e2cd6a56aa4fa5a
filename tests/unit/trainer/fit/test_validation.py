"""When a training is cut short, and which average is kept."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.data.dataset import Photo
from trainer.detectors.names import Architecture
from trainer.detectors.zoo import build_detector
from trainer.fit.engine import Schedule
from trainer.fit.validation import Measurement, Validator, even_part

SCHEDULE = Schedule(1.0, 100, 1)


def photo(number: int, boxes: int) -> Photo:
    box = np.tile(np.array([[1, 1, 9, 9]], np.float32), (boxes, 1))
    return Photo(Path(f"{number}.png"), "", 64, 64, box, np.zeros(boxes, np.int64))


def validator(defective: int = 12, *, may_end_early: bool = True) -> Validator:
    """Return one that validates ten times, on so many photos of three boxes."""
    photos = tuple(photo(i, 3) for i in range(defective))
    result = Validator(photos, 1, (64, 64), may_end_early=may_end_early)
    result.plan(10, len(photos))
    return result


def fill(subject: Validator, values: list[float]) -> bool:
    """Add measurements; return whether one of them would end the training."""
    ended = False
    for number, value in enumerate(values, 1):
        subject.history.append(Measurement(10 * number, 0.1 * number, value, value))
        ended = ended or subject.should_end()
    return ended


RISING = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
FLAT = [0.1, 0.3, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_training_that_still_rises_is_not_ended() -> None:
    assert not fill(validator(), RISING)


def test_training_that_no_longer_rises_is_ended() -> None:
    assert fill(validator(), FLAT)


def test_one_bad_measurement_does_not_end_a_training() -> None:
    assert not fill(validator(), [0.1, 0.2, 0.3, 0.4, 0.2, 0.6, 0.7, 0.8])


@pytest.mark.parametrize("defective", [2, 9])
def test_few_photos_do_not_end_a_training(defective: int) -> None:
    assert not fill(validator(defective), FLAT)


def test_given_length_is_kept() -> None:
    assert not fill(validator(may_end_early=False), FLAT)


def test_part_of_the_photos_is_even() -> None:
    photos = [photo(i, i % 3 and 1) for i in range(300)]
    part = even_part(photos, 30)
    assert len({p.path for p in part}) == 30
    assert sum(p.is_good for p in part) == 10
    assert len(even_part(photos, 999)) == 300


def test_validations_are_spread_over_the_schedule_and_end_with_the_last_step() -> None:
    subject = validator()
    assert not subject.is_due(SCHEDULE, 9)
    assert subject.is_due(SCHEDULE, 10)
    subject.history.append(Measurement(10, 0.1, 0, 0))
    assert not subject.is_due(SCHEDULE, 19)
    assert subject.is_due(SCHEDULE, 100)
    assert subject.remaining_s(0.5) == pytest.approx(9 * 12 * 0.5)


def test_earlier_average_is_restored_only_where_it_was_clearly_better() -> None:
    model = build_detector(Architecture.YOLOX_NANO, 1)
    name = "head.obj_preds.0.bias"
    best = {k: torch.full_like(v, 3) for k, v in model.state_dict().items()}
    for last, kept in ((0.50, 30), (0.595, None)):
        subject = validator()
        fill(subject, [0.6, 0.6, 0.6, last, last, last])
        state = subject.state() | {"best": best, "best_point": 2}
        other = validator()
        other.restore(state)
        before = model.state_dict()[name].clone()
        assert other.restore_best(model) == kept
        assert bool((model.state_dict()[name] == 3).all()) is (kept is not None)
        model.state_dict()[name].copy_(before)


def test_good_parts_are_never_validated_on() -> None:
    """What is promised of false alarms is stated on them."""
    photos = tuple(photo(i, 3 * (i % 3 > 0)) for i in range(36))
    subject = Validator(photos, 1, (64, 64), may_end_early=True)
    subject.plan(10, 36)
    assert len(subject.photos) == 24
    assert not any(one.is_good for one in subject.photos)
    assert len(subject.held_out) == 36  # all are measured on at the end
    other = Validator(photos, 1, (64, 64), may_end_early=True)
    other.restore(subject.state() | {"part": 36})  # of an earlier version
    assert not any(one.is_good for one in other.photos)


def test_without_a_defective_photo_nothing_is_validated() -> None:
    good = tuple(photo(i, 0) for i in range(12))
    subject = Validator(good, 1, (64, 64), may_end_early=True)
    subject.plan(10, 12)
    assert not subject.is_due(SCHEDULE, 100)


def test_photos_that_select_nothing_are_never_validated_on() -> None:
    subject = Validator(
        tuple(photo(i, 3) for i in range(12)),
        1,
        (64, 64),
        may_end_early=True,
        selects=False,
    )
    subject.plan(10, 12)
    assert not any(subject.is_due(SCHEDULE, step) for step in range(101))
    assert subject.remaining_s(0.5) == 0
    subject.restore(validator().state())
    assert not subject.is_due(SCHEDULE, 100)
