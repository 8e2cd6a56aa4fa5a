"""The queue, the buffers and the wake-up event of frames in flight."""

import os
import select
from collections.abc import Iterator

import numpy as np
import pytest

from edge.frame import CameraFrame, Pixels, Stamp
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.in_flight import (
    POOL_BUFFERS,
    FrameBufferPool,
    InFlightFrame,
    InFlightQueue,
    WakeupEvent,
)
from models.boxes import FloatArray
from models.errors import PackageError
from tests.simulators.cameras import SimCamera, SimDetector, sim_channel, sim_model


class DoneRequest:
    """A request whose result is there."""

    def __init__(self, *, fails: bool = False) -> None:
        self.is_done, self._fails = True, fails

    def result(self) -> FloatArray:
        if self._fails:
            raise PackageError("The runtime failed.")
        return SimDetector().infer(np.zeros((64, 64, 3), np.uint8))


class RunningRequest(DoneRequest):
    """A request whose result is not there yet."""

    def __init__(self) -> None:
        super().__init__()
        self.is_done = False


def frame_of(
    channel: CameraChannel, number: int, request: DoneRequest | None = None
) -> InFlightFrame:
    frame = CameraFrame(None, Stamp(number, 0, 0))
    return InFlightFrame(channel, frame, sim_model(), request=request)  # type: ignore[arg-type]


def numbers(frames: Iterator[InFlightFrame]) -> list[int]:
    return [each.frame.stamp.frame_id for each in frames]


@pytest.fixture(scope="module")
def channels() -> list[CameraChannel]:
    return [sim_channel(SimCamera(name)) for name in ("top", "side")]


def test_completed_frame_waits_for_the_earlier_ones_of_its_camera(
    channels: list[CameraChannel],
) -> None:
    top, side = channels
    queue, running = InFlightQueue(), RunningRequest()
    queue.append(frame_of(top, 1, running))
    queue.append(frame_of(top, 2, DoneRequest()))
    queue.append(frame_of(side, 3, DoneRequest()))
    queue.collect()
    assert numbers(queue.pop_completed()) == [3]
    running.is_done = True
    queue.collect()
    assert numbers(queue.pop_completed()) == [1, 2]
    assert len(queue) == 0


def test_frames_are_counted_for_each_camera(channels: list[CameraChannel]) -> None:
    top, side = channels
    queue = InFlightQueue()
    for number in range(3):
        queue.append(frame_of(top, number))
    assert (queue.count(top), queue.count(side), len(queue)) == (3, 0, 3)


def test_failed_inference_is_raised_where_the_frame_is_decoded(
    channels: list[CameraChannel],
) -> None:
    frame = frame_of(channels[0], 1, DoneRequest(fails=True))
    frame.collect()
    assert (frame.request, frame.output) == (None, None)
    assert frame.completed_ns > 0
    with pytest.raises(PackageError, match="runtime failed"):
        frame.decode(np.full(2, 0.5, np.float32))


def test_running_inference_is_not_collected(channels: list[CameraChannel]) -> None:
    frame = frame_of(channels[0], 1, RunningRequest())
    frame.collect()
    assert frame.request is not None
    assert frame.output is None


def pixels(height_px: int, value: int) -> Pixels:
    return np.full((height_px, 4, 3), value, np.uint8)


def test_released_buffer_of_the_same_size_is_used_again() -> None:
    pool = FrameBufferPool()
    first = pool.acquire_copy(pixels(4, 1))
    pool.release(first)
    other_size = pool.acquire_copy(pixels(8, 2))
    second = pool.acquire_copy(pixels(4, 3))
    assert other_size is not first
    assert second is first
    assert (second == 3).all()


def test_copy_does_not_share_memory_with_the_frame() -> None:
    source = pixels(4, 1)
    copy = FrameBufferPool().acquire_copy(source)
    source[:] = 9
    assert (copy == 1).all()


def test_pool_keeps_a_limited_number_of_buffers() -> None:
    pool = FrameBufferPool()
    oldest = pool.acquire_copy(pixels(4, 0))
    pool.release(oldest)
    for _ in range(POOL_BUFFERS):
        pool.release(pixels(8, 0))
    pool.release(None)
    assert pool.acquire_copy(pixels(4, 1)) is not oldest


def test_wakeup_event_is_readable_until_it_is_cleared() -> None:
    event = WakeupEvent()
    try:
        assert not select.select([event.fd], [], [], 0)[0]
        event.set()
        event.set()
        assert select.select([event.fd], [], [], 0)[0]
        event.clear()
        event.clear()  # not set any more: no error
        assert not select.select([event.fd], [], [], 0)[0]
    finally:
        os.close(event.fd)
