"""A configuration that hides every known defect is named wherever it is read."""

import json
import signal
from pathlib import Path
from typing import Any

import cv2
import pytest

from models.manifest import LabelledBoxes
from models.package import open_package
from models.preprocess import Frame
from tests.command import graftline
from tests.e2e.test_camera_rules import PART_FRAMES, belt_with_parts
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.packages import install_package, part_picture
from tests.simulators.resealed import nothing, reseal
from tests.simulators.videos import defect_between, write_video
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

FPS = 15.0
REASON = (
    "region body has min_size_px = 500, which hides every known bright (at most 32 px)"
)
AT_RUN_TIME = "camera a: region body has min_size_px = 500, more than its frames"
LARGE = LabelledBoxes(
    count=30,
    smallest_px=40,
    median_px=200,
    largest_px=310,
    smallest_share=0.125,
    largest_share=0.96875,
    photo_size_px=(320, 320),
    centres=(0.1, 0.1, 0.9, 0.9),
    highest_score=0.99,
)


def camera(min_size_px: int, polygon: str = "[[0,0],[1,0],[1,1],[0,1]]") -> str:
    table = camera_table("a", "a.avi", k=1, n=1, track_max_missed=1)
    region = f'[[camera.region]]\nname = "body"\npolygon = {polygon}\n'
    return f"{table}{region}min_size_px = {min_size_px}\n"


@pytest.fixture
def line(pc: DaemonPc) -> DaemonPc:
    """A line PC with a video of 20 s in which a defect is in every frame."""
    write_video(pc.folder / "a.avi", 300, FPS, defect_between(0, 299))
    return pc


def states_of(line: DaemonPc, collector: SimCollector) -> list[dict[str, Any]]:
    """Return the published states of the station, once there is one."""
    collector.wait_for_state(line.topics.status)
    return collector.states[line.topics.status]


def test_daemon_is_degraded_until_a_reload_and_names_the_rule(
    line: DaemonPc, collector: SimCollector
) -> None:
    process = line.start(camera(500), at_end=False)
    line.wait_until_inspecting(3)
    states = states_of(line, collector)
    until(lambda: states[-1]["state"] == "degraded")
    until(lambda: AT_RUN_TIME in states[-1]["reason"])
    assert "rule_is_silent" in line.stderr
    assert f"camera a: {REASON}" in line.stderr  # before the first frame
    assert line.health
    assert line.health.state == "degraded"
    assert "region body" in line.health.reason
    line.write_config(camera(12))
    process.send_signal(signal.SIGHUP)
    until(lambda: states[-1]["state"] == "ready")
    assert states[-1]["reason"] == ""
    line.write_config(camera(0, "[[0,0],[0.01,0],[0.01,0.01],[0,0.01]]"))
    process.send_signal(signal.SIGHUP)
    until(lambda: states[-1]["state"] == "degraded")
    assert "region body inspects only 0.01 % of the frame" in states[-1]["reason"]
    process.terminate()
    code, _ = line.end_of(process)
    assert code == 0, line.stderr
    assert "Traceback" not in line.stderr


def test_flashed_package_is_compared_with_the_rules(
    line: DaemonPc, collector: SimCollector, tmp_path: Path
) -> None:
    package = open_package(line.slot.current.resolve())
    boxes = {"bright": LARGE, "red": LARGE}
    larger = reseal(
        package, tmp_path / "larger", nothing, build=2, labelled_boxes=boxes
    )
    with line.running(camera(200)):
        line.wait_until_inspecting(3)
        states = states_of(line, collector)
        until(lambda: states[-1]["state"] == "degraded")
        assert "region body has min_size_px = 200" in states[-1]["reason"]
        install_package(line.slot.root, larger)
        until(lambda: states[-1]["state"] == "ready")
        assert states[-1]["model"]["build"] == 2
        install_package(line.slot.root, package)
        until(lambda: states[-1]["state"] == "degraded")
    assert "Traceback" not in line.stderr


def test_k_that_no_counted_part_reaches_is_named_while_parts_pass(
    pc: DaemonPc, collector: SimCollector
) -> None:
    write_video(pc.folder / "belt.avi", 5 * PART_FRAMES, FPS, belt_with_parts)
    assert cv2.imwrite(str(pc.folder / "empty.png"), part_picture() // 4)
    camera = camera_table("belt", "belt.avi", fps=10.0, k=30, n=40)
    code, _, stderr = pc.run(camera + '[camera.parts]\nempty = "empty.png"\n')
    assert code == 0, stderr
    assert {v["verdict"] for v in collector.data("verdict")} == {"not-inspected"}
    reasons = [s["reason"] for s in collector.states[pc.topics.status]]
    assert any(
        "k = 30 cannot be reached: each of the last 3 parts" in r for r in reasons
    )


def test_belt_that_is_too_fast_to_follow_a_defect_is_named(
    pc: DaemonPc, collector: SimCollector
) -> None:
    def passing(number: int) -> Frame:
        """Return a frame of a defect that moves two of ten cells per frame."""
        column = 2 * (number % 12)
        return part_picture((column, 5)) if column < 10 else part_picture()

    write_video(pc.folder / "belt.avi", 72, FPS, passing)
    code, figures, stderr = pc.run(camera_table("belt", "belt.avi", fps=10.0, k=2, n=5))
    assert code == 0, stderr
    assert figures["cameras"]["belt"]["alerts"] == 0
    reasons = [s["reason"] for s in collector.states[pc.topics.status]]
    moved = "k = 2 cannot be reached: defects move 20% of the frame's width per frame"
    assert any(moved in reason for reason in reasons)


def test_print_config_and_doctor_name_the_rule(line: DaemonPc) -> None:
    line.write_config(camera(500))
    arguments = ("--config", line.config)
    shown = graftline("run", *arguments, "--print-config", cwd=line.folder)
    assert shown.code == 0
    assert json.loads(shown.output)["camera"][0]["region"][0]["min_size_px"] == 500
    assert shown.errors.startswith(f"degraded: camera a: {REASON}")
    assert "Fix: Set a smaller min_size_px." in shown.errors
    checked = graftline("doctor", *arguments, cwd=line.folder)
    assert checked.code == 0
    assert "Degraded: rules a." in checked.output
    assert "Fit to inspect" not in checked.output
    document = graftline("doctor", *arguments, "--json", cwd=line.folder).json
    (rules,) = [f for f in document["findings"] if f["check"] == "rules a"]
    assert rules["grade"] == "warn"
    assert rules["what"].startswith("degraded: region body has min_size_px = 500, more")


def test_strict_rules_are_not_named(line: DaemonPc) -> None:
    line.write_config(camera(32))
    arguments = ("--config", line.config)
    shown = graftline("run", *arguments, "--print-config", cwd=line.folder)
    assert shown.errors == ""
    assert "Fit to inspect." in graftline("doctor", *arguments, cwd=line.folder).output
