"""The supervisor of a camera with real processes."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from edge.cameras.supervisor import CameraProcess
from models.messages import CameraState
from tests.simulators.daemon import kill
from tests.simulators.mjpeg import BlackHole, MjpegCamera
from tests.simulators.plans import plan_of
from tests.simulators.videos import number_of, numbered, write_video
from tests.simulators.watched import Cameras, frames_until

pytestmark = pytest.mark.e2e
StartCamera = Callable[..., CameraProcess]


@pytest.fixture
def start() -> Iterator[StartCamera]:
    cameras = Cameras()
    yield cameras.start
    cameras.stop()


def test_frame_id_is_the_number_of_the_frame_in_the_file(
    start: StartCamera, tmp_path: Path
) -> None:
    write_video(tmp_path / "a.avi", 40, 40, numbered)
    camera = start(tmp_path / "a.avi")
    frames = frames_until(camera, lambda: camera.state is CameraState.ENDED)
    assert frames
    assert all(number_of(pixels) == frame_id for frame_id, pixels in frames)
    assert camera.frames_captured == 40
    assert len(frames) + camera.frames_dropped == 40


def test_video_runs_at_its_own_pace(start: StartCamera, tmp_path: Path) -> None:
    write_video(tmp_path / "a.avi", 30, 30, numbered)
    camera = start(tmp_path / "a.avi")
    frames_until(camera, lambda: camera.state is CameraState.UP)
    began_s = time.monotonic()
    frames_until(camera, lambda: camera.state is CameraState.ENDED)
    assert time.monotonic() - began_s > 0.9 * 29 / 30 - 0.1


def test_video_that_loops_starts_again_and_its_frame_numbers_continue(
    start: StartCamera, tmp_path: Path
) -> None:
    write_video(tmp_path / "a.avi", 7, 100, numbered)
    camera = start(tmp_path / "a.avi", loops=True)
    frames = frames_until(camera, lambda: camera.frames_captured > 30)
    assert all(number_of(pixels) == frame_id % 7 for frame_id, pixels in frames)
    assert camera.pid is not None
    last, _ = frames[-1]
    kill(camera.pid)
    frames = frames_until(
        camera, lambda: camera.restarts == 1 and camera.pid is not None
    )
    captured = camera.frames_captured
    frames += frames_until(camera, lambda: camera.frames_captured > captured + 10)
    assert [frame_id for frame_id, _ in frames if frame_id <= last] == []


def test_killed_video_continues_behind_its_last_frame(
    start: StartCamera, tmp_path: Path
) -> None:
    write_video(tmp_path / "a.avi", 60, 60, numbered)
    camera = start(tmp_path / "a.avi")
    before = frames_until(camera, lambda: camera.frames_taken >= 10)
    assert camera.pid is not None
    kill(camera.pid)
    frames_until(camera, lambda: camera.state is CameraState.LOST)
    assert camera.reason == "its process was ended by SIGKILL"
    after = frames_until(camera, lambda: camera.state is CameraState.ENDED)
    assert (camera.restarts, camera.frames_captured) == (1, 60)
    assert after[0][0] > before[-1][0]
    assert all(number_of(pixels) == frame_id for frame_id, pixels in before + after)


def test_missing_source_is_lost_and_opened_again(
    start: StartCamera, tmp_path: Path
) -> None:
    camera = start(tmp_path / "later.avi")
    frames_until(camera, lambda: camera.failures == 2)
    assert camera.state is CameraState.LOST
    assert "there is no such file" in camera.error().what
    write_video(tmp_path / "later.avi", 10, 30, numbered)
    frames_until(camera, lambda: camera.state is CameraState.ENDED)
    assert camera.failures == 0


def test_file_that_is_no_video_is_lost_with_the_reason(
    start: StartCamera, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_text("hello")
    camera = start(tmp_path / "a.mp4")
    frames_until(camera, lambda: camera.state is CameraState.LOST)
    error = camera.error()
    assert "the video cannot be opened" in error.what
    assert error.why == "It exists, but no video can be read from it."


def test_frames_wait_until_the_camera_is_enabled(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "1.png"), numbered(1))
    camera = CameraProcess(plan_of(f"folder:{tmp_path}"))
    for _ in range(20):
        camera.supervise(time.monotonic_ns())
        time.sleep(0.05)
    assert camera.frames_captured == 0
    camera.enable()
    frames = frames_until(camera, lambda: camera.state is CameraState.ENDED)
    camera.stop()
    assert [frame_id for frame_id, _ in frames] == [0]


@pytest.mark.fault(31)
def test_network_camera_that_stalls_is_lost_in_time_and_recovers(
    start: StartCamera,
) -> None:
    with MjpegCamera() as network:
        camera = start(network.url, open_timeout_ms=3000, read_timeout_ms=500)
        frames = frames_until(camera, lambda: camera.frames_taken >= 10)
        assert frames[-1][0] >= 9
        network.is_stalled = True
        stalled_s = time.monotonic()
        frames_until(camera, lambda: camera.state is CameraState.LOST)
        assert time.monotonic() - stalled_s < 5
        assert "no frame" in camera.reason
        network.is_stalled = False
        more = frames_until(camera, lambda: camera.state is CameraState.UP)
        more += frames_until(camera, lambda: len(more) > 0 or camera.frames_taken > 20)
        assert camera.restarts >= 1
        assert more[0][0] > frames[-1][0]  # numbers of one boot never repeat


@pytest.mark.fault(32)
def test_network_camera_that_closes_the_connection_is_opened_again(
    start: StartCamera,
) -> None:
    with MjpegCamera() as network:
        camera = start(network.url, read_timeout_ms=500)
        frames_until(camera, lambda: camera.state is CameraState.UP)
        network.is_cut = True
        frames_until(camera, lambda: camera.failures >= 2)
        assert camera.state is CameraState.LOST
        network.is_cut = False
        frames_until(camera, lambda: camera.state is CameraState.UP)


@pytest.mark.fault(30)
def test_camera_that_accepts_the_connection_and_sends_nothing_does_not_block(
    start: StartCamera,
) -> None:
    with BlackHole() as hole:
        camera = start(hole.url, open_timeout_ms=700)
        began_s = time.monotonic()
        frames_until(camera, lambda: camera.state is CameraState.LOST)
        assert time.monotonic() - began_s < 10  # OpenCV's own default is 30 s
        assert "the video cannot be opened" in camera.error().what
