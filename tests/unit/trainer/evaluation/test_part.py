"""An even part of the held-out photos, where there is no time for all of them."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from models.boxes import FloatArray
from models.preprocess import Frame
from tests.simulators.photos import write_coco
from trainer.data.dataset import Photo, open_dataset
from trainer.evaluation.part import (
    GOOD_FIRST,
    measured_part,
    predict_in_time,
    spread_order,
)


def photos(defective: int, good: int) -> tuple[Photo, ...]:
    box = np.array([[1, 1, 9, 9]], np.float32)
    none = np.zeros((0, 4), np.float32)
    return tuple(
        Photo(
            Path(f"{i}.png"),
            "",
            64,
            64,
            box if i < defective else none,
            np.zeros(1 if i < defective else 0, np.int64),
        )
        for i in range(defective + good)
    )


@pytest.mark.parametrize("size", [12, 24, 48, 80])
def test_each_beginning_has_defective_and_good_photos_in_turn(size: int) -> None:
    every = photos(80, 40)
    order = spread_order(every)
    assert sorted(order) == list(range(120))
    good = sum(every[i].is_good for i in order[:size])
    assert good == size / 2
    halves = [i < 40 for i in order[:size] if i < 80]
    assert sum(halves) == pytest.approx(len(halves) / 2, abs=1)


def test_photos_after_those_of_the_promise_come_in_their_proportion() -> None:
    every = photos(100, 249)
    order = spread_order(every)
    good = [every[i].is_good for i in order]
    assert sum(good[: 2 * GOOD_FIRST]) == GOOD_FIRST
    later = good[2 * GOOD_FIRST :][:100]
    assert sum(later) == pytest.approx(100 * 200 / 251, abs=1)


@pytest.mark.parametrize(("defective", "good"), [(150, 3), (3, 150), (0, 5), (5, 0)])
def test_few_photos_of_one_kind_come_first(defective: int, good: int) -> None:
    every = photos(defective, good)
    order = spread_order(every)
    assert sorted(order) == list(range(len(every)))
    fewer = good < defective
    kinds = [every[i].is_good is fewer for i in order[: 2 * min(defective, good)]]
    assert sum(kinds) == min(defective, good)


def test_part_keeps_the_order_of_the_photos() -> None:
    every = photos(20, 10)
    part = measured_part(every, 9)
    assert len(part) == 9
    assert [p.path for p in part] == [p.path for p in every if p in part]
    assert measured_part(every, 0) == every
    assert measured_part(every, 99) == every


class Blind:
    """A detector that finds nothing."""

    input_size_px = (64, 64)

    def infer(self, image: Frame) -> FloatArray:
        assert image.shape == (64, 64, 3)
        return np.zeros((6, 4), np.float32)


@pytest.mark.parametrize(("fits", "measured"), [(0, 4), (7, 7), (99, 10)])
def test_measurement_ends_in_time_but_not_before_the_least_photos(
    tmp_path: Path, fits: int, measured: int
) -> None:
    held_out = open_dataset(write_coco(tmp_path / "d", {"train": 2, "val": 10}))
    every = held_out.splits["val"]
    calls = count(4 + 1)
    part, found = predict_in_time(
        Blind(), every, 2, least=4, is_late=lambda _: next(calls) > fits
    )
    assert len(part) == len(found) == measured
    assert part == measured_part(every, measured)
