"""Cameras that are away, stall, disconnect, hang, crash, change or send garbage."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.settings import ControlSettings
from edge.cameras.supervisor import CameraProcess
from models.errors import CameraError
from models.messages import CameraState
from models.preprocess import Frame
from tests.simulators.broker import Broker, free_port
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table, children_of
from tests.simulators.gige import GigeSimulator, needs_aravis
from tests.simulators.mjpeg import HUFFMAN_TABLE, BlackHole, MjpegCamera
from tests.simulators.packages import part_picture, write_parts
from tests.simulators.usb import FakeCapture, UsbCamera
from tests.simulators.videos import number_of, numbered, write_video
from tests.simulators.watched import Cameras, LongPauses, frames_until
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
def cameras() -> Iterator[Cameras]:
    cameras = Cameras()
    yield cameras
    cameras.stop()


def until_up(camera: CameraProcess, limit_s: float = 40) -> list[tuple[int, Frame]]:
    return frames_until(camera, lambda: camera.state is CameraState.UP, limit_s)


def until_lost(camera: CameraProcess) -> None:
    frames_until(camera, lambda: camera.state is CameraState.LOST)


@pytest.mark.fault(30)
def test_camera_unreachable_at_boot_is_lost_and_the_others_inspect(
    tmp_path: Path, broker: Broker
) -> None:
    folder = tmp_path / "pc"
    folder.mkdir()
    pc = DaemonPc(folder, broker.port)
    write_parts(folder / "parts", good=3, defective=2)
    with BlackHole() as hole, SimCollector(tmp_path, broker.port) as collector:
        code, figures, log = pc.run(
            camera_table("away", hole.url, open_timeout_ms=500),
            camera_table("top", "folder:parts"),
        )
        assert len(collector.history("verdict")) == 5
    assert code == CameraError.exit_code, log
    assert figures["cameras"]["away"]["state"] == "lost"
    assert figures["cameras"]["top"]["verdicts"]["defect"] == 2


@pytest.mark.fault(30)
def test_camera_that_was_away_is_up_long_before_its_pause_is_over(
    cameras: Cameras,
) -> None:
    port = free_port()
    camera = cameras.start(
        f"http://127.0.0.1:{port}/stream.mjpg", LongPauses(), open_timeout_ms=3000
    )
    until_lost(camera)
    with MjpegCamera(port=port) as network:
        until_up(camera)
        assert network.connections >= 2  # the probe, and the camera's process
    assert camera.restarts == 1


@pytest.mark.fault(31)
@pytest.mark.parametrize("fault", ["stalled", "cut"])
def test_stream_that_returns_is_up_long_before_its_pause_is_over(
    cameras: Cameras, fault: str
) -> None:
    with MjpegCamera() as network:
        camera = cameras.start(network.url, LongPauses(), read_timeout_ms=500)
        until_up(camera)
        setattr(network, f"is_{fault}", True)
        until_lost(camera)
        time.sleep(1.5)  # it has been probed meanwhile
        assert camera.state is CameraState.LOST
        setattr(network, f"is_{fault}", False)
        until_up(camera)
    assert camera.restarts == 1


@pytest.mark.fault(31)
def test_camera_that_answers_without_a_picture_is_not_restarted_repeatedly(
    cameras: Cameras, tmp_path: Path
) -> None:
    class TextServer(MjpegCamera):
        def serve(self, handler: object) -> None:
            handler.send_response(200)  # type: ignore[attr-defined]
            handler.end_headers()  # type: ignore[attr-defined]
            handler.wfile.write(b"no camera here")  # type: ignore[attr-defined]

    with TextServer() as network:
        camera = cameras.start(network.url, LongPauses(), open_timeout_ms=20_000)
        frames_until(
            camera, lambda: camera.restarts == 2
        )  # the probe may have restarted it once
        deadline = time.monotonic() + 3
        frames_until(camera, lambda: time.monotonic() > deadline)
    assert camera.restarts == 2
    assert camera.state is CameraState.LOST


@pytest.mark.fault(32)
def test_stream_that_ends_repeatedly_leaks_no_handle(cameras: Cameras) -> None:
    with MjpegCamera(fps=60) as network:
        network.frames_each = 10
        camera = cameras.start(network.url, read_timeout_ms=500)
        frames_until(camera, lambda: camera.restarts == 2)
        handles, processes = _handles(), len(children_of(os.getpid()))
        frames_until(camera, lambda: camera.restarts == 6)
        assert camera.frames_taken > 0
        assert camera.failures <= 1  # each frame resets the pause
        assert len(children_of(os.getpid())) <= processes
        assert _handles() <= handles + 2  # sockets of the server
        assert len([t for t in threading.enumerate() if "probe" in t.name]) <= 2


def _handles() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (counted, never opened)


@pytest.mark.fault(33)
def test_replugged_usb_camera_is_found_by_its_id_and_configured_again(
    cameras: Cameras, tmp_path: Path
) -> None:
    """With a camera made of files: v4l2loopback and vivid are kernel modules, which
    need root to load.
    """
    usb = UsbCamera(tmp_path)
    usb.plug(0)
    controls = ControlSettings(
        width_px=1280, fps=15, auto_exposure=False, exposure_time_us=8000, gain=4
    )
    camera = cameras.start(
        usb.source, LongPauses(), open_capture=FakeCapture, controls=controls
    )
    before = until_up(camera)
    assert camera.warning == ""
    usb.unplug()
    until_lost(camera)
    assert "unplugged" in camera.reason
    usb.plug(1)
    after = until_up(camera)
    assert camera.warning == ""
    assert usb.node.name == "video1"
    assert usb.is_set_to(cv2.CAP_PROP_AUTO_EXPOSURE) == 1
    assert usb.is_set_to(cv2.CAP_PROP_EXPOSURE) == 80  # units of 100 us
    assert usb.is_set_to(cv2.CAP_PROP_FPS) == 15
    assert usb.is_set_to(cv2.CAP_PROP_GAIN) == 4
    assert after[0][0] > before[-1][0]


@pytest.mark.fault(33)
def test_usb_camera_that_became_another_device_is_opened_again(
    cameras: Cameras, tmp_path: Path
) -> None:
    usb = UsbCamera(tmp_path)
    usb.plug(0)
    camera = cameras.start(usb.source, open_capture=FakeCapture)
    until_up(camera)
    usb.plug(2)  # the old node stays: only the link shows that it is another device
    until_lost(camera)
    assert "another device" in camera.reason
    until_up(camera)


@pytest.mark.fault(33)
def test_setting_that_a_camera_does_not_accept_is_a_warning(
    cameras: Cameras, tmp_path: Path
) -> None:
    usb = UsbCamera(tmp_path)
    usb.plug(0)
    camera = cameras.start(
        usb.source,
        open_capture=FakeCapture,
        controls=ControlSettings(gain=64, brightness=3),
    )
    until_up(camera)
    assert camera.warning == (
        "gain: wanted 64, got 16; "
        "brightness: wanted 3, got nothing (the camera has no such setting)"
    )


@pytest.mark.fault(38)
def test_stream_that_changes_its_size_is_opened_again_in_the_new_size(
    cameras: Cameras,
) -> None:
    with MjpegCamera() as network:
        camera = cameras.start(network.url, open_timeout_ms=10_000)
        small = until_up(camera)
        network.picture_of = lambda number: cv2.resize(
            numbered(number % 256), (576, 64)
        )
        until_lost(camera)
        assert "the size of its pictures changed" in camera.reason
        large = until_up(camera)
    assert small[-1][1].shape == (32, 288, 3)
    assert large[-1][1].shape == (64, 576, 3)
    assert camera.restarts == 1


@pytest.mark.fault(38)
def test_defect_in_frames_of_a_new_size_is_a_new_defect(
    tmp_path: Path, broker: Broker
) -> None:
    folder = tmp_path / "pc"
    folder.mkdir()
    pc = DaemonPc(folder, broker.port)
    defect = part_picture((4, 5))
    larger = cv2.resize(defect, None, fx=2, fy=2)
    with MjpegCamera(fps=20) as network, SimCollector(tmp_path, broker.port) as seen:
        network.picture_of = lambda _: defect
        process = pc.start(camera_table("net", network.url), at_end=False)
        seen.wait_for(1, timeout_s=40)
        network.picture_of = lambda _: larger
        network.is_cut = True  # a camera with another size set restarts
        until(lambda: "camera_lost" in pc.stderr)
        network.is_cut = False
        seen.wait_for(2, timeout_s=40)
        process.terminate()
        pc.end_of(process)
        alerts = seen.data()
    widths = [alert["frame_width_px"] for alert in alerts]
    assert widths == [defect.shape[1], larger.shape[1]]


@pytest.mark.fault(39)
def test_damaged_frames_of_a_video_are_counted_and_the_others_are_read(
    cameras: Cameras, tmp_path: Path
) -> None:
    write_video(tmp_path / "a.avi", 40, 40, numbered)
    damage_frames(tmp_path / "a.avi", (5, 10, 11, 30))
    camera = cameras.start(tmp_path / "a.avi", fps=20)
    frames = frames_until(camera, lambda: camera.state is CameraState.ENDED)
    assert (camera.frames_captured, camera.frames_damaged) == (36, 4)
    assert camera.restarts == 0
    assert frames[-1][0] == 39
    assert all(number_of(pixels) == frame_id for frame_id, pixels in frames)


@pytest.mark.fault(39)
@pytest.mark.parametrize("cuts", [False, True], ids=["undecodable", "cut"])
def test_damaged_frames_of_a_stream_are_counted_and_do_not_end_it(
    cameras: Cameras, *, cuts: bool
) -> None:
    with MjpegCamera() as network:
        network.damages, network.cuts = 10, cuts
        camera = cameras.start(network.url, open_timeout_ms=10_000)
        frames = frames_until(camera, lambda: camera.frames_damaged >= 3)
    assert camera.restarts == 0
    assert camera.frames_captured > camera.frames_damaged
    assert 9 not in {number_of(pixels) % 10 for _, pixels in frames}


@pytest.mark.fault(39)
def test_cut_pictures_of_a_usb_camera_are_counted_and_not_published(
    cameras: Cameras, tmp_path: Path
) -> None:
    usb = UsbCamera(tmp_path)
    usb.plug(0, cuts_jpegs=True)
    camera = cameras.start(usb.source, open_capture=FakeCapture)
    frames = frames_until(
        camera, lambda: camera.frames_damaged >= 2 and camera.damage != ""
    )
    assert 9 not in {number_of(pixels) % 10 for _, pixels in frames}
    assert all(number_of(pixels) == frame_id for frame_id, pixels in frames)
    assert "came damaged" in camera.reason


@pytest.mark.fault(33)
def test_usb_bus_without_bandwidth_is_the_reason(
    cameras: Cameras, tmp_path: Path
) -> None:
    usb = UsbCamera(tmp_path)
    usb.plug(0, error=errno.ENOSPC)
    camera = cameras.start(usb.source, LongPauses(), open_capture=FakeCapture)
    until_lost(camera)
    assert "not enough bandwidth" in camera.error().why
    assert "another USB controller" in camera.error().fix


@pytest.mark.fault(39)
def test_flipped_bytes_in_h264_crash_nothing(
    cameras: Cameras, tmp_path: Path, shared: Path
) -> None:
    """FFmpeg conceals most of it without an error: this only shows that it survives."""
    video = shared / "data" / "videos" / "intel-bottle-detection.mp4"
    content = bytearray(video.read_bytes())
    start = content.find(b"mdat") + 4
    end = start + int.from_bytes(content[start - 8 : start - 4]) - 8
    for place in np.random.default_rng(0).integers(start + 9000, end, 60):
        content[place] ^= 0xFF
    (tmp_path / "a.mp4").write_bytes(content)
    camera = cameras.start(tmp_path / "a.mp4", fps=1000)
    frames_until(camera, lambda: camera.state is CameraState.ENDED, limit_s=90)
    assert camera.restarts == 0
    assert camera.frames_captured + camera.frames_damaged > 1100


def damage_frames(video: Path, numbers: tuple[int, ...]) -> None:
    """Garble the Huffman table of some frames of an AVI whose frames are JPEG.

    FFmpeg decodes garbled pixels; without the table it fails.
    """
    content = bytearray(video.read_bytes())
    places, place = [], content.find(b"00dc")
    while place >= 0:
        places.append(place)
        place = content.find(b"00dc", place + 4)
    for number in numbers:
        table = content.find(HUFFMAN_TABLE, places[number])
        content[table + 4 : table + 30] = b"\xff" * 26
    video.write_bytes(content)


@pytest.mark.fault(40)
def test_incomplete_frames_of_a_gige_camera_are_counted_and_not_published(
    cameras: Cameras,
) -> None:
    needs_aravis()
    with GigeSimulator() as gige:
        camera = cameras.start(gige.source)
        until_up(camera)
        frames_until(camera, lambda: camera.frames_captured >= 20)
        assert camera.frames_damaged == 0
        gige.lose(0.002)  # of 187 packets a frame: a third of the frames is hit
        captured = camera.frames_captured
        seen = frames_until(
            camera,
            lambda: camera.frames_damaged >= 5 and camera.frames_captured > captured,
        )
        # The share is of complete seconds.
        seen += frames_until(camera, lambda: "came damaged" in camera.reason)
        assert all(is_whole_pattern(pixels) for _, pixels in seen)
        assert (camera.state, camera.restarts) == (CameraState.DEGRADED, 0)


def is_whole_pattern(pixels: Frame) -> bool:
    """Return whether a frame is the camera's ramp: one grey level more in each row."""
    rows = pixels[:, 0, 0].astype(int)
    return bool((np.diff(rows) % 255 <= 1).all())


@pytest.mark.fault(40)
def test_gige_camera_that_vanishes_is_lost_in_time_and_returns_configured(
    cameras: Cameras,
) -> None:
    needs_aravis()
    controls = ControlSettings(exposure_time_us=8000, trigger_mode=False, brightness=1)
    with GigeSimulator() as gige:
        camera = cameras.start(gige.source, controls=controls)
        before = until_up(camera)
        gige.kill()
        until_lost(camera)
        assert "no complete frame" in camera.reason
        gige.start()
        after = until_up(camera)
        assert after[0][0] > before[-1][0]
        assert camera.warning == (
            "brightness: wanted 1, got nothing (the camera has no such setting)"
        )


@pytest.mark.fault(33, 40)
def test_setting_that_was_not_accepted_is_a_reason_for_degraded(
    tmp_path: Path, broker: Broker
) -> None:
    needs_aravis()
    folder = tmp_path / "pc"
    folder.mkdir()
    pc = DaemonPc(folder, broker.port)
    table = camera_table("gige", GigeSimulator.source)
    table += "[camera.settings]\nexposure_time_us = 9000\nbrightness = 1\n"
    with GigeSimulator(), SimCollector(tmp_path, broker.port) as collector:
        process = pc.start(table, at_end=False)
        try:
            pc.wait_until_inspecting(3)
            states = collector.states[pc.topics.status]
            until(lambda: states[-1]["state"] == "degraded")
        finally:  # else it keeps the camera of the next tests
            process.terminate()
            code, figures = pc.end_of(process)
        degraded = [state for state in states if state["state"] == "degraded"]
        assert "camera gige: brightness: wanted 1, got nothing" in degraded[0]["reason"]
        assert "exposure_time_us" not in degraded[0]["reason"]
    assert figures["cameras"]["gige"]["state"] == "up", (code, pc.stderr)


@pytest.mark.fault(41)
def test_slow_consumer_gets_the_newest_frame(cameras: Cameras) -> None:
    with MjpegCamera(fps=30) as network:
        camera = cameras.start(network.url, open_timeout_ms=10_000)
        until_up(camera)
        lags, numbers = [], []
        for _ in range(15):  # 3 s at 5 frames/s of 30
            time.sleep(0.2)
            camera.supervise(time.monotonic_ns())
            frame = camera.take_frame()
            if frame is not None and frame.pixels is not None:
                numbers.append(number_of(frame.pixels))
                lags.append(network.sent - numbers[-1])
                camera.release()
    assert numbers == sorted(set(numbers))
    assert sorted(lags)[len(lags) // 2] <= 8  # a queue would be 80 behind at the end
    assert camera.frames_dropped > len(numbers)
