import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.frame_buffer import FrameBuffer, FrameBufferReader, HeaderField
from edge.cameras.frame_publisher import GRACE_MS, FramePublisher, stamp_now
from edge.cameras.health.monitor import ImageQualityMonitor
from edge.cameras.settings import CameraHealthSettings
from models.errors import CameraError
from tests.simulators import scenes
from tests.simulators.plans import plan_of


@pytest.fixture
def frame_buffer() -> Iterator[FrameBuffer]:
    buffer = FrameBuffer.create()
    yield buffer
    buffer.close()


def test_deadline_is_the_step_and_some_grace_from_now(
    frame_buffer: FrameBuffer,
) -> None:
    before_ns = time.monotonic_ns()
    FramePublisher(frame_buffer).extend_deadline(500)
    left_ns = int(frame_buffer.header[HeaderField.DEADLINE_NS]) - before_ns
    assert left_ns >= (500 + GRACE_MS) * 1_000_000


def test_read_is_announced_before_it_starts(frame_buffer: FrameBuffer) -> None:
    publisher = FramePublisher(frame_buffer)
    publisher.start_read(41, 500)
    assert frame_buffer.header[HeaderField.CURRENT_READ] == 42
    assert frame_buffer.header[HeaderField.DEADLINE_NS] > 0


def test_daemon_enables_the_publisher(frame_buffer: FrameBuffer) -> None:
    publisher = FramePublisher(frame_buffer)
    assert not publisher.is_enabled
    frame_buffer.header[HeaderField.ENABLED] = 1
    assert publisher.is_enabled
    publisher.wait_until_enabled()


def test_damaged_frames_and_warnings_reach_the_daemon(
    frame_buffer: FrameBuffer,
) -> None:
    publisher = FramePublisher(frame_buffer)
    publisher.count_damaged(2)
    publisher.count_damaged(1)
    publisher.set_warnings(("gain: wanted 64, got 16", "fps: wanted 30, got 15"))
    assert frame_buffer.header[HeaderField.DAMAGED] == 3
    assert frame_buffer.reason == "gain: wanted 64, got 16; fps: wanted 30, got 15"


def test_frame_that_the_monitor_rejects_is_published_without_pixels(
    frame_buffer: FrameBuffer,
) -> None:
    monitor = ImageQualityMonitor(CameraHealthSettings(), None, is_triggered=True)
    publisher = FramePublisher(frame_buffer, monitor)
    reader = FrameBufferReader(frame_buffer)
    publisher.publish(scenes.black(0), stamp_now(0))
    frame = reader.take_frame()
    assert frame is not None
    assert (frame.pixels, frame.fault) == (None, "black")
    publisher.publish(scenes.scene(1), stamp_now(1, "part-1"))
    frame = reader.take_frame()
    assert frame is not None
    assert frame.pixels is not None
    assert frame.stamp.part_id == "part-1"


def test_frame_is_taken_only_after_the_reader_took_it(
    frame_buffer: FrameBuffer,
) -> None:
    publisher = FramePublisher(frame_buffer)
    publisher.publish(np.zeros((4, 4, 3), np.uint8), stamp_now(0))
    assert not publisher.is_taken(0)
    assert FrameBufferReader(frame_buffer).take_frame() is not None
    assert publisher.is_taken(0)
    publisher.wait_until_taken()


def test_missing_folder_is_refused_and_a_url_is_not_checked(tmp_path: Path) -> None:
    plan_of(f"folder:{tmp_path}").refuse_missing()
    plan_of("rtsp://cam/1").refuse_missing()
    with pytest.raises(CameraError, match="no such file") as caught:
        plan_of(f"folder:{tmp_path / 'away'}").refuse_missing()
    assert "folder with pictures" in caught.value.fix


def test_fault_names_camera_and_source_without_the_password() -> None:
    plan = plan_of("rtsp://user:secret@cam/1", "top")
    error = plan.fault("no frame.", why="It is off.", fix="Switch it on.")
    assert error.what == "camera top: rtsp://cam/1: no frame."


def test_plan_can_be_sent_to_a_process() -> None:
    plan = plan_of("v4l2:/dev/video0", health=CameraHealthSettings(black_below=3))
    assert pickle.loads(pickle.dumps(plan)) == plan  # noqa: S301 - written above
