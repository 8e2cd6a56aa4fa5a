import threading
import time

import numpy as np
import pytest

from edge.cameras.backlog import PICTURES_MAX, TOO_BUSY, Backlog
from edge.cameras.frame_buffer import FrameBuffer, FrameBufferReader
from edge.cameras.frame_publisher import FramePublisher, stamp_now
from tests.simulators.plans import plan_of

PICTURE = np.full((4, 4, 3), 9, np.uint8)
LIVE = plan_of("rtsp://cam/1")
TRIGGERED = plan_of("rtsp://cam/1", keeps_every_frame=True)


def test_frame_of_an_untriggered_camera_is_published_at_once() -> None:
    frame_buffer = FrameBuffer.create()
    reader = FrameBufferReader(frame_buffer)
    with Backlog(LIVE, FramePublisher(frame_buffer)) as backlog:
        for number in range(3):
            backlog.publish(PICTURE, stamp_now(number))
        assert reader.frames_published == 3
    frame_buffer.close()


def test_every_frame_is_published_and_only_some_keep_their_pixels() -> None:
    frame_buffer = FrameBuffer.create()
    reader, frames = FrameBufferReader(frame_buffer), []
    count = 3 * PICTURES_MAX

    def take_all() -> None:
        deadline = time.monotonic() + 10
        while len(frames) < count and time.monotonic() < deadline:
            frame = reader.take_frame()
            if frame is not None:
                frames.append((frame.stamp.frame_id, frame.fault))

    with Backlog(TRIGGERED, FramePublisher(frame_buffer)) as backlog:
        for number in range(count):
            backlog.publish(PICTURE, stamp_now(number))
        taker = threading.Thread(target=take_all)
        taker.start()
    taker.join(10)
    frame_buffer.close()
    assert [number for number, _ in frames] == list(range(count))
    assert {fault for _, fault in frames} == {"", TOO_BUSY}
    with_pixels = [number for number, fault in frames if not fault]
    assert with_pixels[:PICTURES_MAX] == list(range(PICTURES_MAX))


def test_picture_that_does_not_fit_is_raised_by_a_later_publish() -> None:
    frame_buffer = FrameBuffer.create()
    too_flat = np.zeros((4, 4), np.uint8)
    with Backlog(TRIGGERED, FramePublisher(frame_buffer)) as backlog:
        backlog.publish(too_flat, stamp_now(0))
        backlog._thread.join(10)  # noqa: SLF001 - it ends with the fault
        with pytest.raises(ValueError, match="expected"):
            backlog.publish(PICTURE, stamp_now(1))
    frame_buffer.close()
