"""Which false alarms on good parts are mined, and when."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections
from tests.simulators.runs import CellDetector
from trainer.data.dataset import Photo
from trainer.detectors.base import TrainableDetector
from trainer.fit.hard_negatives import MAX_CENTRES, MAX_PHOTOS, HardNegatives


def photo(number: int, *, is_good: bool) -> Photo:
    boxes = np.zeros((0, 4) if is_good else (1, 4), np.float32)
    labels = np.zeros(len(boxes), np.int64)
    return Photo(Path(f"{number}.jpg"), f"{number:064}", 100, 80, boxes, labels)


def detections(*scores: float) -> Detections:
    """Return boxes around (10, 20), (30, 40) and so on."""
    centres = np.arange(len(scores))[:, None] * 20 + np.array([10, 20])
    boxes = np.hstack([centres - 4, centres + 4]).astype(np.float32)
    labels = np.zeros(len(scores), np.int64)
    return Detections(boxes, np.array(scores, np.float32), labels)


class Finder:
    """Finds the same on each photo, and remembers on which."""

    def __init__(self, found: Detections) -> None:
        self.found = found
        self.seen: list[list[Photo]] = []

    def __call__(
        self, _: TrainableDetector, photos: Sequence[Photo]
    ) -> list[Detections]:
        self.seen.append(list(photos))
        return [self.found] * len(photos)


@pytest.fixture
def model() -> TrainableDetector:
    return CellDetector()


def test_only_good_parts_are_mined_and_only_detections_are_kept(
    model: TrainableDetector,
) -> None:
    photos = [photo(n, is_good=n % 2 == 1) for n in range(6)]
    find = Finder(detections(0.9, 0.05, 0.04))
    negatives = HardNegatives(photos, find)
    negatives.mine(model, 0.2)
    assert find.seen == [[photos[1], photos[3], photos[5]]]
    assert negatives.centres == dict.fromkeys((1, 3, 5), ((10.0, 20.0), (30.0, 40.0)))


def test_centres_with_the_highest_scores_are_kept(model: TrainableDetector) -> None:
    negatives = HardNegatives([photo(0, is_good=True)], Finder(detections(*[0.5] * 9)))
    negatives.mine(model, 0.2)
    assert len(negatives.centres[0]) == MAX_CENTRES


def test_false_alarm_that_is_gone_is_dropped(model: TrainableDetector) -> None:
    find = Finder(detections(0.9))
    negatives = HardNegatives([photo(0, is_good=True)], find)
    negatives.mine(model, 0.2)
    find.found = detections()
    negatives.mine(model, 0.4)
    assert negatives.centres == {0: ()}


def rounds(phases: Sequence[float], model: TrainableDetector) -> list[float]:
    negatives = HardNegatives([photo(0, is_good=True)], Finder(detections()))
    mined = []
    for phase in phases:
        if negatives.is_due(phase):
            negatives.mine(model, phase)
            mined.append(phase)
    return mined


def test_three_rounds_are_mined_while_close_ups_are_trained_on(
    model: TrainableDetector,
) -> None:
    assert rounds([n / 20 for n in range(21)], model) == [0.2, 0.4, 0.6]
    assert rounds([0, 0.5, 0.9], model) == [
        0.5
    ]  # a round that was passed over is not made up for
    assert rounds([0, 0.8], model) == []


def test_without_good_parts_nothing_is_mined() -> None:
    negatives = HardNegatives([photo(0, is_good=False)], Finder(detections()))
    assert not negatives.is_due(0.5)
    assert negatives.remaining_s(0.1, 1) == 0


def test_remaining_rounds_are_counted_in_seconds() -> None:
    photos = [photo(n, is_good=True) for n in range(10)]
    negatives = HardNegatives(photos, Finder(detections()))
    left = [negatives.remaining_s(phase, 0.5) for phase in (0.1, 0.3, 0.5, 0.7)]
    assert left == [15, 10, 5, 0]


def test_good_parts_beyond_the_limit_are_mined_in_turn(
    model: TrainableDetector,
) -> None:
    photos = [photo(n, is_good=True) for n in range(2 * MAX_PHOTOS + 1)]
    find = Finder(detections())
    negatives = HardNegatives(photos, find)
    for phase in (0.2, 0.4, 0.6):
        negatives.mine(model, phase)
    assert all(len(seen) <= MAX_PHOTOS for seen in find.seen)
    assert len(negatives.centres) == len(photos)


def test_state_survives_a_file(model: TrainableDetector) -> None:
    photos = [photo(n, is_good=True) for n in range(3)]
    negatives = HardNegatives(photos, Finder(detections(0.9)))
    negatives.mine(model, 0.45)
    assert list(negatives.state()) == [
        "rounds",
        "phase",
        "max_photos",
        "spots",
    ]  # stored names
    again = HardNegatives(photos, Finder(detections()))
    again.restore(json.loads(json.dumps(negatives.state())))
    assert again.centres == negatives.centres
    assert not again.is_due(0.5)
    assert again.is_due(0.6)


def test_rounds_are_smaller_where_a_training_has_little_time() -> None:
    photos = [photo(n, is_good=True) for n in range(300)]
    negatives = HardNegatives(photos, Finder(detections(0.9)))
    assert negatives.remaining_s(0.0, 0.2) == pytest.approx(60)
    negatives.limit(6, 0.2)
    assert negatives.remaining_s(0.0, 0.2) <= 6
    negatives.limit(0.1, 0.2)
    assert negatives.max_photos == 10
    negatives.limit(600, 0.2)
    assert negatives.max_photos == 100
