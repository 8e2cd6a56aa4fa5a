import threading
from pathlib import Path

import cv2
import numpy as np
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


def test_video_with_16_bit_values_is_refused(tmp_path: Path) -> None:
    """OpenCV divides them by 256: 12 bits of data would be black."""
    path = tmp_path / "deep.mkv"
    options = [cv2.VIDEOWRITER_PROP_DEPTH, cv2.CV_16U]
    options += [cv2.VIDEOWRITER_PROP_IS_COLOR, 0]
    codec = cv2.VideoWriter.fourcc(*"FFV1")
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 10.0, (64, 48), options)
    for _ in range(3):
        video.write(np.full((48, 64), 4000, np.uint16))
    video.release()
    frame_buffer = FrameBuffer.create()
    with pytest.raises(CameraError, match="16 bits a channel") as caught:
        run_video(plan_of(f"file:{path}"), FramePublisher(frame_buffer))
    assert "8 bits" in caught.value.fix
    frame_buffer.close()
