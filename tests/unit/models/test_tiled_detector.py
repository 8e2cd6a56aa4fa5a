"""Detectors that run a picture tile by tile, behind the interface of a plain one."""

from collections.abc import Callable

import numpy as np
import pytest

from models.boxes import FloatArray
from models.errors import PackageError
from models.inference import ParallelDetector
from models.preprocess import Frame
from models.tiled_detector import (
    ParallelTiledDetector,
    TiledDetector,
    TiledRequest,
    tiled,
)
from models.tiles import Tiles

TILES = Tiles(12, 8, 8, 8, 4)  # one column of two tiles, from rows 0 and 4


class BrightnessDetector:
    """Its output is the sum of the picture, ``[1, 1]``."""

    input_size_px = (8, 8)

    def infer(self, image: Frame) -> FloatArray:
        return np.array([[image.sum()]], np.float32)


class HeldRequest:
    """A request that is done when the test completes it."""

    def __init__(self) -> None:
        self.image: Frame = np.zeros((8, 8, 3), np.uint8)
        self.is_idle, self.is_done, self.fails = True, False, False
        self._when_done: Callable[[], None] = lambda: None

    def start(self, when_done: Callable[[], None]) -> None:
        self.is_idle, self._when_done = False, when_done

    def complete(self) -> None:
        self.is_done = True
        self._when_done()

    def result(self) -> FloatArray:
        self.is_idle, self.is_done = True, False
        if self.fails:
            raise PackageError("The runtime failed.")
        return BrightnessDetector().infer(self.image)


class HeldDetector(BrightnessDetector):
    """A detector with a queue of its own."""

    def __init__(self) -> None:
        self.requests: list[HeldRequest] = []

    def open_request(self) -> HeldRequest:
        self.requests.append(HeldRequest())
        return self.requests[-1]


def picture() -> Frame:
    rows = np.arange(12, dtype=np.uint8)[:, None, None]
    return np.broadcast_to(rows, (12, 8, 3)).copy()


def expected() -> list[float]:
    """Sums of the rows of each tile, with 8 columns and 3 channels."""
    return [float(sum(range(y, y + 8)) * 24) for y in (0, 4)]


def request() -> tuple[TiledRequest, list[HeldRequest]]:
    inner = [HeldRequest(), HeldRequest()]
    return TiledRequest(TILES, inner), inner


def test_detector_without_tiles_is_returned_unchanged() -> None:
    detector = BrightnessDetector()
    assert tiled(detector, None) is detector


def test_input_of_a_tiled_detector_is_the_picture() -> None:
    detector = tiled(BrightnessDetector(), TILES)
    assert type(detector) is TiledDetector
    assert detector.input_size_px == (12, 8)


def test_outputs_of_the_tiles_are_side_by_side() -> None:
    output = tiled(BrightnessDetector(), TILES).infer(picture())
    assert output.tolist() == [expected()]


def test_graph_of_another_size_than_a_tile_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        tiled(BrightnessDetector(), Tiles(16, 16, 16, 16, 4))


def test_detector_with_a_queue_has_a_request_for_each_tile() -> None:
    inner = HeldDetector()
    assert isinstance(inner, ParallelDetector)
    detector = tiled(inner, TILES)
    assert isinstance(detector, ParallelTiledDetector)
    detector.open_request()
    assert len(inner.requests) == 2


def test_detector_without_a_queue_cannot_be_parallel() -> None:
    with pytest.raises(TypeError):
        ParallelTiledDetector(BrightnessDetector(), TILES)


def test_request_is_done_with_its_last_tile() -> None:
    whole, inner = request()
    calls: list[bool] = []
    whole.image[:] = picture()
    assert whole.is_idle
    whole.start(lambda: calls.append(whole.is_done))
    assert not whole.is_idle
    inner[1].complete()
    assert not whole.is_done
    inner[0].complete()
    assert calls == [False, True]
    assert whole.result().tolist() == [expected()]
    assert whole.is_idle


def test_failed_tile_fails_the_request_and_frees_the_others() -> None:
    whole, inner = request()
    inner[0].fails = True
    whole.start(lambda: None)
    for each in inner:
        each.complete()
    with pytest.raises(PackageError):
        whole.result()
    assert whole.is_idle
