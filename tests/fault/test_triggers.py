"""Triggered cameras: as many verdicts as parts for any order of triggers and frames."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.cameras.backlog import PICTURES_MAX, TOO_BUSY
from edge.cameras.supervisor import CameraProcess, wait_for_frames
from edge.frame import CameraFrame
from edge.rules.triggers import HardwareTriggers
from models.messages import CameraState
from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.commander import Commander, command
from tests.simulators.daemon import DaemonPc, camera_table, kill
from tests.simulators.mjpeg import MjpegCamera
from tests.simulators.plans import plan_of
from tests.simulators.videos import number_of

pytestmark = [pytest.mark.fault(42), pytest.mark.timeout(180)]
LIMIT_S = 40.0
STORM = 400


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker", "max_queued_messages 0") as broker:
        yield broker


@pytest.mark.long
def test_parts_and_verdicts_are_equal_in_a_trigger_storm_and_an_outage(
    pc: DaemonPc, broker: Broker, tmp_path: Path
) -> None:
    with (
        MjpegCamera() as network,
        SimCollector(tmp_path, broker.port) as collector,
        Commander(broker.port, pc.topics) as commander,
    ):
        camera = camera_table(
            *("top", network.url),
            trigger="command",
            trigger_timeout_ms=500,
            read_timeout_ms=400,
        )
        process = pc.start(camera, at_end=False)
        commander.wait_for_station()
        pc.wait_until_inspecting(0)
        asked = []

        def trigger(count: int) -> None:
            for _ in range(count):
                part_id = f"part-{len(asked)}"
                asked.append(part_id)
                sent = command(camera="top", part_id=part_id)
                commander.send("trigger", sent)

        trigger(5)
        assert collector.wait_for(5, LIMIT_S, "verdict") == 5
        trigger(STORM)
        assert collector.wait_for(len(asked), LIMIT_S, "verdict") == len(asked)
        network.is_stalled = True
        time.sleep(0.5)
        trigger(3)
        assert collector.wait_for(len(asked), LIMIT_S, "verdict") == len(asked)
        trigger(2)  # these are not inspected: the daemon stops
        commander.wait_for_all()
        process.send_signal(signal.SIGTERM)
        code, figures = pc.end_of(process)
        assert collector.wait_for(len(asked), LIMIT_S, "verdict") == len(asked)
        verdicts = collector.data("verdict")
    assert code == 0, pc.stderr
    verdicts.sort(key=lambda verdict: int(verdict["seq"]))
    assert [verdict["part_id"] for verdict in verdicts] == asked
    seen = [v for v in verdicts if v["verdict"] != "not-inspected"]
    missed = [v for v in verdicts if v["verdict"] == "not-inspected"]
    assert len(seen) >= 5
    frames = [verdict["frame_id"] for verdict in seen]
    assert len(set(frames)) == len(frames)  # no frame passes for two parts
    assert all(verdict["reason"] for verdict in missed)
    assert len(missed) >= STORM // 2
    of_outage = [v["reason"] for v in verdicts[5 + STORM : -2]]
    assert all("camera top lost" in r or "no frame within" in r for r in of_outage)
    assert sum(figures["cameras"]["top"]["verdicts"].values()) == len(asked)
    assert figures["commands"]["accepted"] == {"trigger": len(asked)}


def test_every_frame_of_a_hardware_trigger_has_its_verdict(
    pc: DaemonPc, broker: Broker, tmp_path: Path
) -> None:
    with (
        MjpegCamera(fps=50) as network,
        SimCollector(tmp_path, broker.port) as collector,
    ):
        process = pc.start(
            camera_table("top", network.url, trigger="hardware"), at_end=False
        )
        assert collector.wait_for(50, LIMIT_S, "verdict") >= 50
        process.send_signal(signal.SIGSTOP)  # too busy for half a second
        time.sleep(0.5)
        process.send_signal(signal.SIGCONT)
        count = len(collector.history("verdict"))
        assert collector.wait_for(count + 60, LIMIT_S, "verdict") >= count + 60
        process.send_signal(signal.SIGTERM)
        code, figures = pc.end_of(process)
        verdict_count = sum(figures["cameras"]["top"]["verdicts"].values())
        assert collector.wait_for(verdict_count, LIMIT_S, "verdict") == verdict_count
        verdicts = collector.data("verdict")
    assert code == 0, pc.stderr
    numbers = [verdict["frame_id"] for verdict in verdicts]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len({verdict["part_id"] for verdict in verdicts}) == len(verdicts)
    missed = [v["reason"] for v in verdicts if v["verdict"] == "not-inspected"]
    assert set(missed) == {TOO_BUSY}


# --- hardware trigger ----------------------------------------------------------------

StartCamera = Callable[[str], CameraProcess]


@pytest.fixture
def start() -> Iterator[StartCamera]:
    cameras = []

    def start(url: str) -> CameraProcess:
        plan = plan_of(url, "top", read_timeout_ms=500, keeps_every_frame=True)
        cameras.append(CameraProcess(plan, random.Random(1)))
        cameras[-1].enable()
        return cameras[-1]

    yield start
    for camera in cameras:
        camera.stop()


def take(camera: CameraProcess, is_done: Callable[[], bool]) -> list[CameraFrame]:
    """Take frames until a condition is true; each with a copy of its pixels."""
    frames, deadline = [], time.monotonic() + LIMIT_S
    while not is_done() and time.monotonic() < deadline:
        camera.supervise(time.monotonic_ns())
        frame = camera.take_frame()
        if frame is None:
            wait_for_frames([camera], 0.02)
            continue
        pixels = frame.pixels.copy() if frame.pixels is not None else None
        frames.append(CameraFrame(pixels, frame.stamp, frame.fault))
        camera.release()
    assert is_done()
    return frames


def test_every_frame_is_a_part_though_the_daemon_is_busy(start: StartCamera) -> None:
    with MjpegCamera(fps=50) as network:
        camera = start(network.url)
        frames = take(camera, lambda: camera.frames_taken >= 5)
        time.sleep(1)  # busy: some fifty frames come
        frames += take(camera, lambda: camera.frames_taken >= 100)
    numbers = [frame.stamp.frame_id for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    dark = [frame for frame in frames if frame.pixels is None]
    assert {frame.fault for frame in dark} == {TOO_BUSY}
    assert len(dark) < len(frames) - PICTURES_MAX
    shown = {
        (number_of(frame.pixels) - frame.stamp.frame_id) % 256
        for frame in frames
        if frame.pixels is not None
    }
    assert len(shown) == 1  # every picture under its own number
    assert camera.frames_dropped == 0


def test_parts_lost_with_the_camera_s_process_leave_a_gap(
    start: StartCamera,
) -> None:
    with MjpegCamera(fps=50) as network:
        camera = start(network.url)
        before = take(camera, lambda: camera.frames_taken >= 5)
        time.sleep(0.5)  # some wait in the process that is killed
        assert camera.pid is not None
        kill(camera.pid)
        take(camera, lambda: camera.state is CameraState.LOST)
        after = take(camera, lambda: camera.frames_taken >= 10)
    every = HardwareTriggers("top")
    outcomes = []
    for frame in [*before, *after]:
        missed, part_id = every.assign_part(frame)
        outcomes += [*(each.stamp.part_id for each in missed), part_id]
    first, last = before[0].stamp.frame_id, after[-1].stamp.frame_id
    assert len(outcomes) == len(set(outcomes)) == last - first + 1
    assert len(outcomes) > len(before) + len(after) + PICTURES_MAX


def test_camera_that_stalls_leaves_no_gap(start: StartCamera) -> None:
    """A read that gave nothing is no part."""
    with MjpegCamera() as network:
        camera = start(network.url)
        frames = take(camera, lambda: camera.frames_taken >= 5)
        network.is_stalled = True
        frames += take(camera, lambda: camera.state is CameraState.LOST)
        network.is_stalled = False
        count = camera.frames_taken
        frames += take(camera, lambda: camera.frames_taken >= count + 5)
    numbers = [frame.stamp.frame_id for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
