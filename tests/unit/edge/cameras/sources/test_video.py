import threading
from pathlib import Path

import pytest

from edge.cameras.frame_buffer import FrameBuffer, FrameBufferReader, HeaderField
from edge.cameras.frame_publisher import CapturePlan, FramePublisher
from edge.cameras.sources.video import run_video
from models.errors import CameraError
from tests.simulators.plans import plan_of
from tests.simulators.videos import numbered, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of eight frames at 100 frames per second."""
    path = tmp_path_factory.mktemp("video") / "a.avi"
    write_video(path, 8, 100, numbered)
    return path


def play(plan: CapturePlan) -> tuple[int, int]:
    """Return how many frames were published, and the number of the last one."""
    frame_buffer = FrameBuffer.create()
    frame_buffer.header[HeaderField.ENABLED] = 1
    reader, last = FrameBufferReader(frame_buffer), -1
    publisher = FramePublisher(frame_buffer)
    thread = threading.Thread(target=run_video, args=(plan, publisher))
    thread.start()
    while thread.is_alive() or reader.has_frame:
        if (frame := reader.take_frame()) is not None:
            last = frame.stamp.frame_id
    thread.join(5)
    published = reader.frames_published
    frame_buffer.close()
    return published, last


def test_every_frame_of_the_file_is_published(video: Path) -> None:
    assert play(plan_of(f"file:{video}")) == (8, 7)


def test_restart_continues_behind_the_delivered_frames(video: Path) -> None:
    assert play(plan_of(f"file:{video}", first_frame_id=5)) == (3, 7)


def test_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello")
    frame_buffer = FrameBuffer.create()
    with pytest.raises(CameraError, match="cannot be opened"):
        run_video(plan_of(tmp_path / "a.mp4"), FramePublisher(frame_buffer))
    frame_buffer.close()
