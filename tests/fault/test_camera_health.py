"""Rows 36, 37 and 43: a camera that goes on sending, but nothing that is true."""

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from edge.cameras.frame_publisher import CapturePlan
from edge.cameras.health.baseline_file import read_baseline
from edge.cameras.health.condition import QualityLimits
from edge.cameras.health.monitor import ImageQualityPlan
from edge.cameras.source import parse_source
from edge.cameras.supervisor import CameraProcess, wait_for_frames
from edge.frame import CameraFrame
from models.messages import CameraState
from models.preprocess import Frame
from tests.simulators import scenes
from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table, kill, wait_for
from tests.simulators.mjpeg import MjpegCamera
from tests.simulators.packages import part_picture, write_parts
from tests.simulators.videos import defect_between

pytestmark = pytest.mark.timeout(180)

FPS = 25
LIMITS = QualityLimits(frozen_after_s=1, alarm_after_s=0.3)
Picture = Callable[[int], Frame]


class Watched:
    """A network camera and the process that reads it, supervised while we wait."""

    def __init__(self, sees: MjpegCamera, plan: ImageQualityPlan) -> None:
        self.sees = sees
        source = parse_source(sees.url)
        self.camera = CameraProcess(
            CapturePlan("cam", source, read_timeout_ms=5000, health=plan),
            random.Random(1),
        )
        self.camera.admit_frames()

    def until(
        self, is_done: Callable[[], bool], limit_s: float = 60
    ) -> list[CameraFrame]:
        """Take frames until something is so; return them, pixels copied."""
        taken, deadline = [], time.monotonic() + limit_s
        while not is_done():
            assert time.monotonic() < deadline, self.camera.reason
            self.camera.supervise(time.monotonic_ns())
            frame = self.camera.take()
            if frame is None:
                wait_for_frames([self.camera], 0.02)
                continue
            pixels = None if frame.pixels is None else frame.pixels.copy()
            taken.append(CameraFrame(pixels, frame.stamp, frame.fault))
            self.camera.release()
        return taken

    def until_ill_with(self, *conditions: str) -> list[CameraFrame]:
        return self.until(lambda: self.camera.conditions == conditions)

    def until_up(self) -> list[CameraFrame]:
        return self.until(lambda: self.camera.state is CameraState.UP)

    def more(self, frames: int) -> list[CameraFrame]:
        end = self.camera.frames_taken + frames
        return self.until(lambda: self.camera.frames_taken >= end)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A camera whose baseline was learned from sound frames."""
    path = tmp_path_factory.mktemp("health") / "state" / "cam.json"
    plan = ImageQualityPlan(3, LIMITS, learn_looks=25, baseline_path=path)
    with MjpegCamera(FPS) as sees:
        sees.picture_of = scenes.scene
        watched = Watched(sees, plan)
        frames = watched.until(path.exists)
        assert all(frame.pixels is not None for frame in frames)
        assert read_baseline(path) is not None
        yield watched
        watched.camera.stop()


@pytest.fixture(autouse=True)
def _sound_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "watched" in request.fixturenames:
        watched = request.getfixturevalue("watched")
        watched.sees.picture_of = scenes.scene
        watched.until_up()


@pytest.mark.fault(36)
def test_frozen_camera_is_degraded_and_its_frames_are_not_inspected(
    watched: Watched,
) -> None:
    watched.more(5)
    watched.sees.picture_of = scenes.frozen
    began_s = time.monotonic()
    watched.until_ill_with("frozen")
    assert time.monotonic() - began_s > 0.9  # not before its time
    assert watched.camera.state is CameraState.DEGRADED
    assert watched.camera.reason == "frozen"
    frames = watched.more(10)
    assert {(frame.pixels is None, frame.fault) for frame in frames} == {
        (True, "frozen")
    }
    watched.sees.picture_of = scenes.scene
    alive = watched.until_up()
    assert any(frame.pixels is not None for frame in alive)
    assert watched.camera.reason == ""
    assert watched.camera.restarts == 0


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
def test_fake_frames_are_never_handed_over(
    watched: Watched, picture_of: Picture, name: str
) -> None:
    true_level, fake_level = scenes.scene(0).mean(), picture_of(0).mean()
    watched.sees.picture_of = picture_of
    frames = watched.until_ill_with(name)
    handed_over = [f.pixels.mean() for f in frames if f.pixels is not None]
    nearer = [abs(level - fake_level) for level in handed_over]
    assert all(away > abs(true_level - fake_level) / 2 for away in nearer)
    assert {(f.pixels is None, f.fault) for f in watched.more(10)} == {(True, name)}


@pytest.mark.fault(37)
def test_torn_frames_are_an_alarm_and_few_come_through(watched: Watched) -> None:
    watched.sees.picture_of = scenes.torn
    watched.until_ill_with("torn")
    frames = watched.more(40)
    assert {frame.fault for frame in frames} <= {"", "torn"}
    assert sum(frame.pixels is None for frame in frames) > 20


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    ("picture_of", "name"),
    [(scenes.blurred, "blurred"), (scenes.moved, "moved")],
)
def test_worse_pictures_are_alarmed_and_inspected(
    watched: Watched, picture_of: Picture, name: str
) -> None:
    watched.sees.picture_of = picture_of
    frames = watched.until_ill_with(name) + watched.more(10)
    assert all(frame.pixels is not None for frame in frames)
    assert watched.camera.state is CameraState.DEGRADED


@pytest.mark.fault(43)
def test_light_that_fades_is_an_alarm_and_goes_when_it_is_back(
    watched: Watched,
) -> None:
    first = watched.more(1)[0].stamp.frame_id

    def fading(number: int) -> Frame:
        return scenes.gained(number, max(0.55, 1 - (number - first) % 1000 / 100))

    watched.sees.picture_of = fading
    frames = watched.until_ill_with("dark")
    watched.sees.picture_of = scenes.scene
    frames += watched.until_up()
    watched.sees.picture_of = lambda number: scenes.gained(number, 1.5)
    frames += watched.until_ill_with("bright")
    assert all(frame.pixels is not None for frame in frames)


@pytest.mark.fault(37, 43)
def test_flickering_lamp_is_one_alarm_and_no_storm(watched: Watched) -> None:
    def flickering(number: int) -> Frame:
        return (scenes.scene if number // 8 % 2 else scenes.black)(number)

    watched.sees.picture_of = flickering
    watched.until_ill_with("black")
    since = watched.camera.since_wall_ns
    frames = watched.more(100)
    assert watched.camera.conditions == ("black",)
    assert watched.camera.since_wall_ns == since
    for frame in frames:
        assert frame.pixels is None or frame.pixels.mean() > 50


@pytest.mark.fault(37)
def test_killed_process_goes_on_with_the_baseline_that_it_learned(
    watched: Watched,
) -> None:
    assert watched.camera.pid is not None
    kill(watched.camera.pid)
    watched.until(lambda: watched.camera.state is CameraState.LOST)
    watched.until_up()
    watched.sees.picture_of = scenes.blurred
    watched.until_ill_with("blurred")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    with Broker(folder) as broker:
        yield broker


@pytest.mark.fault(37, 42)
def test_part_with_a_fake_picture_is_never_ok(tmp_path: Path, broker: Broker) -> None:
    pc = DaemonPc(tmp_path, broker.port)
    write_parts(tmp_path / "parts", good=10, defective=0)
    half = part_picture()
    half[len(half) // 2 :] = (0, 135, 0)
    half[: len(half) // 4] = 90
    size = part_picture().shape
    fakes = {
        "part-2": (scenes.black(0), "black"),
        "part-4": (scenes.white(0), "white"),
        "part-6": (half, "torn"),
    }
    for stem, (fake, _) in fakes.items():
        picture = cv2.resize(fake, size[1::-1])
        assert cv2.imwrite(str(tmp_path / "parts" / f"{stem}.jpg"), picture)
    with SimCollector(tmp_path, broker.port) as collector:
        code, figures, said = pc.run(camera_table("top", "parts"))
        assert code == 0, said
        verdicts = [event["data"] for event in collector.history("verdict")]
    told = {each["part_id"]: (each["verdict"], each["reason"]) for each in verdicts}
    assert told == {
        f"part-{number}": ("not-inspected", fakes[f"part-{number}"][1])
        if f"part-{number}" in fakes
        else ("ok", "")
        for number in range(10)
    }
    top = figures["cameras"]["top"]
    assert (top["frames_inspected"], top["frames_unreadable"]) == (7, 3)


@pytest.mark.fault(36)
def test_frozen_camera_is_told_to_everybody_and_finds_nothing(
    tmp_path: Path, broker: Broker
) -> None:
    pc = DaemonPc(tmp_path, broker.port)
    sound, ill = defect_between(-1, -1), defect_between(0, 10**9)
    options = {"frozen_after_s": 1, "alarm_after_s": 0.3}
    table = camera_table("belt", "URL") + "[camera.health]\n"
    table += "".join(f"{key} = {json.dumps(v)}\n" for key, v in options.items())
    with SimCollector(tmp_path, broker.port) as collector, MjpegCamera(FPS) as sees:
        status = pc.topics.camera("belt", "status")

        def last(topic: str) -> dict[str, object]:
            return (collector.states.get(topic) or [{}])[-1]

        sees.picture_of = sound
        process = pc.start(table.replace("URL", sees.url), at_end=False)
        try:
            wait_for(lambda: last(status).get("state") == "up", 60)
            frozen = ill(5)  # it stands still with a defect in the picture
            sees.picture_of = lambda _: frozen
            wait_for(lambda: last(status).get("conditions") == ["frozen"], 60)
            assert last(status)["state"] == "degraded"
            assert last(status)["reason"] == "frozen"
            station = pc.topics.status
            wait_for(lambda: last(station).get("state") == "degraded", 60)
            assert last(station)["reason"] == "camera belt frozen"
            alerts = len(collector.history())
            seen = last(pc.topics.camera("belt", "stats"))
            stats = pc.topics.camera("belt", "stats")
            wait_for(
                lambda: (
                    last(stats).get("frames_captured", 0)  # type: ignore[operator]
                    > seen["frames_captured"] + 2 * FPS
                ),
                60,
            )
            assert last(stats)["frames_inspected"] <= seen["frames_inspected"] + 5
            assert last(stats)["frames_unreadable"] > seen["frames_unreadable"]
            assert len(collector.history()) == alerts <= 1  # seen before it froze
            sees.picture_of = sound
            wait_for(lambda: last(status).get("state") == "up", 60)
            wait_for(lambda: last(station).get("state") == "ready", 60)
        finally:
            process.terminate()
            pc.end_of(process)
    assert pc.said.count("camera_degraded camera=belt reason='frozen'") == 1
