"""How small a drawn change the class unknown sees."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.simulators.photos import write_good
from trainer.data.dataset import Photo, open_dataset
from trainer.detectors.graft import GraftSize
from trainer.detectors.names import Activation
from trainer.detectors.unknown import UnknownDetector
from trainer.detectors.yolox import YOLOX
from trainer.unknown.fit import fit_memory
from trainer.unknown.inputs import PhotoInputs
from trainer.unknown.visible import (
    CONTRASTS,
    MOST_PHOTOS,
    SIDES_PX,
    SeenSpots,
    measure_spots,
    with_spot,
)

INPUTS = PhotoInputs((96, 96))
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Photo, ...]:
    root = write_good(tmp_path_factory.mktemp("good"), 30, size_px=96)
    return open_dataset(root).photos


@pytest.fixture(scope="module")
def model(photos: tuple[Photo, ...]) -> UnknownDetector:
    torch.manual_seed(0)
    network = YOLOX(GraftSize.N, 1, Activation.RELU)
    fitted = fit_memory(network, photos[:20], INPUTS.size_px, seed=0)
    return UnknownDetector(network, fitted.memory, 0).eval()


def measured(
    model: UnknownDetector, photos: tuple[Photo, ...], threshold: float
) -> list[SeenSpots]:
    return measure_spots(model, photos[20:], INPUTS, threshold, seed=0)


def test_stronger_and_larger_spots_are_seen_on_more_photos(
    model: UnknownDetector, photos: tuple[Photo, ...]
) -> None:
    found = measured(model, photos, 0.5)
    assert [one.contrast for one in found] == list(CONTRASTS)
    for one in found:
        assert 1 <= one.photos <= min(10, MOST_PHOTOS)
        assert len(one.seen) == len(SIDES_PX)
        assert list(one.seen) == sorted(one.seen)
    assert found[-1].seen[-1] == 1  # a large spot, half of all grey levels
    assert found[0].seen[0] == 0  # a quarter of a cell, hardly above the noise
    assert sum(found[0].seen) < sum(found[-1].seen)
    assert found == measured(model, photos, 0.5)


def test_every_photo_is_reported_to_who_waits(
    model: UnknownDetector, photos: tuple[Photo, ...]
) -> None:
    announced, done = [], []

    def measuring(count: int) -> Callable[[], None]:
        announced.append(count)
        return lambda: done.append(1)

    measure_spots(model, photos[20:25], INPUTS, 0.5, seed=0, measuring=measuring)
    assert announced == [5]
    assert len(done) == 5


def test_nothing_is_seen_at_a_threshold_that_is_never_reached(
    model: UnknownDetector, photos: tuple[Photo, ...]
) -> None:
    assert {share for one in measured(model, photos, 1.0) for share in one.seen} == {0}


def test_places_that_are_reported_without_a_spot_are_not_counted(
    model: UnknownDetector, photos: tuple[Photo, ...]
) -> None:
    assert measured(model, photos, 1e-9) == []


@pytest.mark.parametrize(("level", "expected"), [(200, 72), (40, 168)])
def test_spot_is_dark_on_a_bright_place_and_bright_on_a_dark_one(
    level: int, expected: int
) -> None:
    image = np.full((32, 32, 3), level, np.uint8)
    spotted = with_spot(image, (16, 16), 8, 128)
    assert spotted[16, 16, 0] == expected
    area = int((spotted[..., 0] != level).sum())
    assert area == pytest.approx(np.pi * 16, abs=4)
    assert (image == level).all()
