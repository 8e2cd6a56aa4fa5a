"""Rows 36, 37 and 43: a camera that sends frames which do not show the scene."""

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from edge.cameras.health.baseline_file import read_baseline
from edge.cameras.settings import CameraHealthSettings
from edge.cameras.supervisor import CameraProcess, wait_for_frames
from edge.frame import CameraFrame
from models.messages import CameraState
from models.preprocess import Frame
from tests.simulators import scenes
from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table, kill
from tests.simulators.mjpeg import MjpegCamera
from tests.simulators.packages import part_picture, write_parts
from tests.simulators.plans import plan_of
from tests.simulators.videos import defect_between
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)

FPS = 25
Picture = Callable[[int], Frame]


class Supervised:
    """A network camera and the process that reads it, supervised during each wait."""

    def __init__(self, network: MjpegCamera, health: CameraHealthSettings) -> None:
        self.network = network
        plan = plan_of(network.url, read_timeout_ms=5000, health=health)
        self.camera = CameraProcess(plan, random.Random(1))
        self.camera.enable()

    def until(
        self, is_done: Callable[[], bool], limit_s: float = 60
    ) -> list[CameraFrame]:
        """Take frames until a condition is true; return them, pixels copied."""
        taken, deadline = [], time.monotonic() + limit_s
        while not is_done():
            assert time.monotonic() < deadline, self.camera.reason
            self.camera.supervise(time.monotonic_ns())
            frame = self.camera.take_frame()
            if frame is None:
                wait_for_frames([self.camera], 0.02)
                continue
            pixels = None if frame.pixels is None else frame.pixels.copy()
            taken.append(CameraFrame(pixels, frame.stamp, frame.fault))
            self.camera.release()
        return taken

    def until_degraded_by(self, *conditions: str) -> list[CameraFrame]:
        return self.until(lambda: self.camera.conditions == conditions)

    def until_up(self) -> list[CameraFrame]:
        return self.until(lambda: self.camera.state is CameraState.UP)

    def more(self, frames: int) -> list[CameraFrame]:
        end = self.camera.frames_taken + frames
        return self.until(lambda: self.camera.frames_taken >= end)


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """A camera whose baseline was learned from good frames."""
    path = tmp_path_factory.mktemp("health") / "state" / "cam.json"
    health = CameraHealthSettings(
        every_n_frames=3,
        frozen_after_s=1,
        alarm_after_s=0.3,
        baseline=path,
        learn_frames=25,
    )
    with MjpegCamera(FPS) as network:
        network.picture_of = scenes.scene
        supervised = Supervised(network, health)
        frames = supervised.until(path.exists)
        assert all(frame.pixels is not None for frame in frames)
        assert read_baseline(path) is not None
        yield supervised
        supervised.camera.stop()


@pytest.fixture(autouse=True)
def _good_frames_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "supervised" in request.fixturenames:
        supervised = request.getfixturevalue("supervised")
        supervised.network.picture_of = scenes.scene
        supervised.until_up()


@pytest.mark.fault(36)
def test_frozen_camera_is_degraded_and_its_frames_are_not_inspected(
    supervised: Supervised,
) -> None:
    supervised.more(5)
    supervised.network.picture_of = scenes.frozen
    began_s = time.monotonic()
    supervised.until_degraded_by("frozen")
    assert time.monotonic() - began_s > 0.9  # not before its time
    assert supervised.camera.state is CameraState.DEGRADED
    assert supervised.camera.reason == "frozen"
    frames = supervised.more(10)
    assert {(frame.pixels is None, frame.fault) for frame in frames} == {
        (True, "frozen")
    }
    supervised.network.picture_of = scenes.scene
    alive = supervised.until_up()
    assert any(frame.pixels is not None for frame in alive)
    assert supervised.camera.reason == ""
    assert supervised.camera.restarts == 0


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    ("picture_of", "name"),
    [
        (scenes.black, "black"),
        (scenes.white, "white"),
        (scenes.covered, "covered"),
        (scenes.overexposed, "over-exposed"),
        (scenes.green_half, "torn"),
    ],
)
def test_unusable_frames_are_never_published(
    supervised: Supervised, picture_of: Picture, name: str
) -> None:
    good_level, bad_level = scenes.scene(0).mean(), picture_of(0).mean()
    supervised.network.picture_of = picture_of
    frames = supervised.until_degraded_by(name)
    published = [f.pixels.mean() for f in frames if f.pixels is not None]
    away_from_bad = [abs(level - bad_level) for level in published]
    assert all(away > abs(good_level - bad_level) / 2 for away in away_from_bad)
    assert {(f.pixels is None, f.fault) for f in supervised.more(10)} == {(True, name)}


@pytest.mark.fault(37)
def test_torn_frames_raise_an_alarm_and_few_are_published(
    supervised: Supervised,
) -> None:
    supervised.network.picture_of = scenes.torn
    supervised.until_degraded_by("torn")
    frames = supervised.more(40)
    assert {frame.fault for frame in frames} <= {"", "torn"}
    assert sum(frame.pixels is None for frame in frames) > 20


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    ("picture_of", "name"),
    [(scenes.blurred, "blurred"), (scenes.moved, "moved")],
)
def test_worse_pictures_raise_an_alarm_and_are_inspected(
    supervised: Supervised, picture_of: Picture, name: str
) -> None:
    supervised.network.picture_of = picture_of
    frames = supervised.until_degraded_by(name) + supervised.more(10)
    assert all(frame.pixels is not None for frame in frames)
    assert supervised.camera.state is CameraState.DEGRADED


@pytest.mark.fault(43)
def test_fading_light_raises_an_alarm_that_clears_when_it_is_back(
    supervised: Supervised,
) -> None:
    first = supervised.more(1)[0].stamp.frame_id

    def fading(number: int) -> Frame:
        return scenes.gained(number, max(0.55, 1 - (number - first) % 1000 / 100))

    supervised.network.picture_of = fading
    frames = supervised.until_degraded_by("dark")
    supervised.network.picture_of = scenes.scene
    frames += supervised.until_up()
    supervised.network.picture_of = lambda number: scenes.gained(number, 1.5)
    frames += supervised.until_degraded_by("bright")
    assert all(frame.pixels is not None for frame in frames)


@pytest.mark.fault(37, 43)
def test_flickering_lamp_raises_one_alarm(supervised: Supervised) -> None:
    def flickering(number: int) -> Frame:
        return (scenes.scene if number // 8 % 2 else scenes.black)(number)

    supervised.network.picture_of = flickering
    supervised.until_degraded_by("black")
    since = supervised.camera.since_wall_ns
    frames = supervised.more(100)
    assert supervised.camera.conditions == ("black",)
    assert supervised.camera.since_wall_ns == since
    for frame in frames:
        assert frame.pixels is None or frame.pixels.mean() > 50


@pytest.mark.fault(37)
def test_killed_process_continues_with_the_baseline_that_it_learned(
    supervised: Supervised,
) -> None:
    assert supervised.camera.pid is not None
    kill(supervised.camera.pid)
    supervised.until(lambda: supervised.camera.state is CameraState.LOST)
    supervised.until_up()
    supervised.network.picture_of = scenes.blurred
    supervised.until_degraded_by("blurred")


@pytest.mark.fault(37, 42)
def test_part_with_an_unusable_picture_is_never_ok(
    tmp_path: Path, broker: Broker
) -> None:
    pc = DaemonPc(tmp_path, broker.port)
    write_parts(tmp_path / "parts", good=10, defective=0)
    half = part_picture()
    half[len(half) // 2 :] = (0, 135, 0)
    half[: len(half) // 4] = 90
    size = part_picture().shape
    unusable = {
        "part-2": (scenes.black(0), "black"),
        "part-4": (scenes.white(0), "white"),
        "part-6": (half, "torn"),
    }
    for stem, (bad, _) in unusable.items():
        picture = cv2.resize(bad, size[1::-1])
        assert cv2.imwrite(str(tmp_path / "parts" / f"{stem}.jpg"), picture)
    with SimCollector(tmp_path, broker.port) as collector:
        code, figures, log = pc.run(camera_table("top", "parts"))
        assert code == 0, log
        verdicts = collector.data("verdict")
    reported = {each["part_id"]: (each["verdict"], each["reason"]) for each in verdicts}
    assert reported == {
        f"part-{number}": ("not-inspected", unusable[f"part-{number}"][1])
        if f"part-{number}" in unusable
        else ("ok", "")
        for number in range(10)
    }
    top = figures["cameras"]["top"]
    assert (top["frames_inspected"], top["frames_unreadable"]) == (7, 3)


@pytest.mark.fault(36)
def test_frozen_camera_is_reported_and_raises_no_alert(
    tmp_path: Path, broker: Broker
) -> None:
    pc = DaemonPc(tmp_path, broker.port)
    good, frozen_with_defect = defect_between(-1, -1), defect_between(0, 10**9)
    options = {"frozen_after_s": 1, "alarm_after_s": 0.3}
    table = camera_table("belt", "URL") + "[camera.health]\n"
    table += "".join(f"{key} = {json.dumps(v)}\n" for key, v in options.items())
    with SimCollector(tmp_path, broker.port) as collector, MjpegCamera(FPS) as network:
        status = pc.topics.camera("belt", "status")

        def last(topic: str) -> dict[str, object]:
            return (collector.states.get(topic) or [{}])[-1]

        network.picture_of = good
        process = pc.start(table.replace("URL", network.url), at_end=False)
        try:
            until(lambda: last(status).get("state") == "up", limit_s=60)
            frozen = frozen_with_defect(5)
            network.picture_of = lambda _: frozen
            until(lambda: last(status).get("conditions") == ["frozen"], limit_s=60)
            assert last(status)["state"] == "degraded"
            assert last(status)["reason"] == "frozen"
            station = pc.topics.status
            until(lambda: last(station).get("state") == "degraded", limit_s=60)
            assert last(station)["reason"] == "camera belt frozen"
            alerts = len(collector.history())
            before = last(pc.topics.camera("belt", "stats"))
            stats = pc.topics.camera("belt", "stats")
            until(
                lambda: (
                    last(stats).get("frames_captured", 0)  # type: ignore[operator]
                    > before["frames_captured"] + 2 * FPS
                ),
                limit_s=60,
            )
            assert last(stats)["frames_inspected"] <= before["frames_inspected"] + 5
            assert last(stats)["frames_unreadable"] > before["frames_unreadable"]
            assert len(collector.history()) == alerts <= 1  # from before it froze
            network.picture_of = good
            until(lambda: last(status).get("state") == "up", limit_s=60)
            until(lambda: last(station).get("state") == "ready", limit_s=60)
        finally:
            process.terminate()
            pc.end_of(process)
    assert pc.stderr.count("camera_degraded camera=belt reason='frozen'") == 1
