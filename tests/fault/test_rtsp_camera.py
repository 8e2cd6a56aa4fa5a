"""Network cameras over RTSP: lost packets, refusals, transports and slow ones."""

import contextlib
from collections.abc import Iterator
from functools import cache

import cv2
import pytest

from models.messages import CameraState
from tests.simulators.broker import free_port
from tests.simulators.rtsp import Clip, RtspCamera
from tests.simulators.watched import Cameras, LongPauses, frames_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def cameras() -> Iterator[Cameras]:
    cameras = Cameras()
    yield cameras
    cameras.stop()


@cache
def clean_frames(name: str) -> dict[bytes, int]:
    """Return the frames of a clip, decoded without a fault, and their numbers."""
    capture = cv2.VideoCapture(str(Clip(name).path), cv2.CAP_FFMPEG)
    frames = {}
    while (read := capture.read())[0]:
        frames[read[1].tobytes()] = len(frames)
    return frames


@pytest.mark.fault(39)
@pytest.mark.parametrize(
    ("name", "transport"),
    [("plain.h264", "udp"), ("bframes.h264", "tcp"), ("bframes.h265", "tcp")],
)
def test_no_damaged_frame_of_a_stream_that_loses_packets_is_published(
    cameras: Cameras, name: str, transport: str
) -> None:
    known = clean_frames(name)
    with RtspCamera(Clip(name), fps=150) as network:
        camera = cameras.start(network.url, rtsp_transport=transport)
        frames_until(camera, lambda: camera.state is CameraState.UP)
        network.loss = 0.01
        damaged = frames_until(camera, lambda: camera.frames_damaged > 40)
        taken = camera.frames_taken
        after = frames_until(
            camera,
            lambda: camera.frames_taken > taken + 20 and camera.damage != "",
        )
    assert all(pixels.tobytes() in known for _, pixels in damaged + after)
    assert camera.restarts == 0
    assert camera.state is CameraState.DEGRADED
    assert camera.conditions == ("damaged",)
    assert camera.reason == camera.damage
    assert camera.reason.endswith("% of its frames in the last minute came damaged")


@pytest.mark.fault(39)
def test_stream_of_damaged_frames_only_is_degraded_and_not_lost(
    cameras: Cameras,
) -> None:
    with RtspCamera(Clip("plain.h264"), fps=100) as network:
        camera = cameras.start(network.url)
        frames_until(camera, lambda: camera.state is CameraState.UP)
        network.loses = lambda frame, packet: packet == 0
        frames_until(camera, lambda: "at least 90 %" in camera.reason)
    assert (camera.state, camera.restarts) == (CameraState.DEGRADED, 0)


@pytest.mark.fault(100)
@pytest.mark.parametrize("name", ["plain.h264", "bframes.h264", "bframes.h265"])
def test_stream_is_published_from_its_first_frame_and_loses_none(
    cameras: Cameras, name: str
) -> None:
    """At 10 frames per second FFmpeg's own limits would take 3 s and the key frame."""
    known = clean_frames(name)
    with RtspCamera(Clip(name), fps=10) as network:
        camera = cameras.start(network.url)
        first = frames_until(camera, lambda: camera.frames_taken >= 1)
        sent = network.sent
        network.fps = 100
        frames = first + frames_until(camera, lambda: camera.frames_taken >= 120)
    assert (
        sent < 20
    )  # it was 40 to 60: 28 were read to open it, up to the next key frame
    assert [known.get(p.tobytes()) for _, p in frames] == [n % 100 for n, _ in frames]
    assert (camera.frames_damaged, camera.state) == (0, CameraState.UP)


@pytest.mark.fault(30)
def test_camera_that_refuses_a_stream_is_lost_with_its_answer(
    cameras: Cameras,
) -> None:
    answers = {
        "401 Unauthorized": ("401 (Unauthorized)", "%40 for @"),
        "404 Not Found": ("404 (Not Found)", "path of the URL"),
        "461": ("461", 'rtsp_transport = "udp"'),
    }
    with contextlib.ExitStack() as stack:
        started = []
        for answer in answers:
            network = RtspCamera(Clip("plain.h264"))
            if answer == "461":
                network.transports = ("UDP",)
            else:
                network.answer = answer
            stack.enter_context(network)
            started.append(cameras.start(network.url, LongPauses()))
        started.append(cameras.start(f"rtsp://127.0.0.1:{free_port()}/", LongPauses()))
        for camera in started:
            frames_until(camera, lambda: camera.state is CameraState.LOST)  # noqa: B023
    for camera, (why, fix) in zip(started, answers.values(), strict=False):
        assert (
            f"The camera answered {why.replace('(', '').replace(')', '')}"
            in camera.reason
        )
        assert fix in camera.error().fix
    assert "It refused the connection" in started[-1].error().why
