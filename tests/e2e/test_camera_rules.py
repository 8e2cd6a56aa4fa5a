"""Regions, masks, thresholds, cool-down and streaks in what the broker really gets."""

from pathlib import Path

import cv2
import pytest

from models.errors import ConfigError
from models.preprocess import Frame
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.packages import (
    CELL_PX,
    INPUT_SIZE_PX,
    install_package,
    make_package,
    part_picture,
)
from tests.simulators.videos import defect_between, write_video
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

FPS = 15.0
FAINT = 100  # a cell of this grey scores 0.39: below the package's 0.5


def region_table(name: str, cells: tuple[int, int, int, int], rules: str = "") -> str:
    """Return a ``[[camera.region]]`` from a first to a last column and row."""
    first_x, first_y, last_x, last_y = (
        cell * CELL_PX / INPUT_SIZE_PX for cell in cells
    )
    corners = [[first_x, first_y], [last_x, first_y], [last_x, last_y]]
    corners.append([first_x, last_y])
    lines = ["[[camera.region]]", f'name = "{name}"', f"polygon = {corners}", rules]
    return "\n".join(lines) + "\n"


def faint_picture(column: int, row: int) -> Frame:
    picture = part_picture()
    x, y = column * CELL_PX, row * CELL_PX
    picture[y : y + CELL_PX, x : x + CELL_PX] = FAINT
    return picture


REGIONS = (
    region_table("hole", (3, 3, 5, 5), 'kind = "mask"')
    + region_table("rim", (0, 0, 10, 2), "thresholds = { bright = 0.3 }")
    + region_table("face", (0, 0, 8, 10), "thresholds = { red = 0.99 }")
)


def test_each_part_is_inspected_by_the_rules_of_its_regions(
    pc: DaemonPc, collector: SimCollector
) -> None:
    pictures = {
        "a-face": part_picture((1, 6)),
        "b-mask": part_picture((4, 4)),
        "c-outside": part_picture((9, 6)),
        "d-both": part_picture((4, 4), (9, 6), (2, 7)),
        "e-faint-rim": faint_picture(5, 1),
        "f-faint-face": faint_picture(5, 6),
        "g-large": cv2.resize(part_picture((1, 6)), (640, 640)),
    }
    (pc.folder / "parts").mkdir()
    for name, picture in pictures.items():
        assert cv2.imwrite(str(pc.folder / "parts" / f"{name}.png"), picture)
    code, figures, stderr = pc.run(camera_table("top", "folder:parts") + REGIONS)
    assert code == 0, stderr
    verdicts = {v["part_id"]: v["verdict"] for v in collector.data("verdict")}
    good = {"b-mask", "c-outside", "f-faint-face"}
    assert verdicts == {n: "ok" if n in good else "defect" for n in pictures}
    found = {
        alert["part_id"]: [(d["label"], d["region"]) for d in alert["detections"]]
        for alert in collector.data()
    }
    assert found == {
        "a-face": [("bright", "face")],
        "d-both": [("bright", "face")],
        "e-faint-rim": [("bright", "rim")],
        "g-large": [("bright", "face")],
    }
    assert figures["cameras"]["top"]["alerts"] == 4
    assert not collector.errors


def test_cool_down_suppresses_alerts_and_the_next_one_has_their_number(
    pc: DaemonPc, collector: SimCollector
) -> None:
    shown = {*range(5), *range(10, 15), *range(20, 25), *range(90, 95)}
    write_video(
        pc.folder / "belt.avi",
        100,
        FPS,
        lambda number: part_picture((4, 5)) if number in shown else part_picture(),
    )
    camera = camera_table(
        "belt",
        "file:belt.avi",
        k=1,
        n=1,
        track_max_missed=1,
        cool_down_s=3.5,  # frame 20 is seen after 1.3 s, frame 90 after 6 s
    )
    streak = "[camera.streak]\nalerts = 2\nwindow_s = 3600\n"
    code, figures, stderr = pc.run(camera + streak)
    assert code == 0, stderr
    first, last = collector.data()
    assert first["frame_id"] < 5
    assert last["frame_id"] >= 90
    assert (first["suppressed"], last["suppressed"]) == (0, 2)
    belt = figures["cameras"]["belt"]
    assert (belt["alerts"], belt["alerts_suppressed"]) == (2, 2)
    topics = pc.topics
    states = collector.states[topics.camera("belt", "status")]
    streaks = [
        w for w in states if w["reason"].startswith("defect streak: more than 2")
    ]
    assert streaks[0]["state"] == "degraded"
    stations = [state["state"] for state in collector.states[topics.status]]
    assert "degraded" not in stations  # the parts are bad, not the daemon
    stats = collector.states[topics.camera("belt", "stats")]
    assert stats[-1]["alerts_suppressed"] == 2


def test_defective_parts_in_a_row_are_an_alarm_until_a_good_one(
    pc: DaemonPc, collector: SimCollector
) -> None:
    (pc.folder / "parts").mkdir()
    for number in range(12):
        picture = part_picture((2, 3)) if number < 6 else part_picture()
        assert cv2.imwrite(str(pc.folder / "parts" / f"{number:02}.png"), picture)
    camera = camera_table("top", "folder:parts", fps=4.0)
    code, _, stderr = pc.run(camera + "[camera.streak]\nparts = 3\n")
    assert code == 0, stderr
    states = collector.states[pc.topics.camera("top", "status")]
    raised = [state["reason"].startswith("defect streak") for state in states]
    assert raised.index(True) > 0
    assert True not in raised[len(raised) - raised[::-1].index(True) :]
    assert not raised[-1]
    assert len(collector.data()) == 6


PART_CELLS, PART_FRAMES = 5, 19


def belt_with_parts(number: int) -> Frame:
    """Return a frame of four parts that pass, of which two show a defect."""
    picture = part_picture() // 4  # the belt
    part, frame = divmod(number, PART_FRAMES)
    first = frame - PART_CELLS  # a cell further with each frame
    left, right = (max(0, cell) * CELL_PX for cell in (first, first + PART_CELLS))
    picture[3 * CELL_PX : 8 * CELL_PX, left:right] = 60
    defect = first + 2
    if part in {1, 2} and defect >= 0:
        place = slice(defect * CELL_PX, (defect + 1) * CELL_PX)
        picture[5 * CELL_PX : 6 * CELL_PX, place] = 250
    return picture


def test_counted_parts_have_names_and_verdicts_and_the_cool_down_spares_no_verdict(
    pc: DaemonPc, collector: SimCollector
) -> None:
    write_video(pc.folder / "belt.avi", 4 * PART_FRAMES, FPS, belt_with_parts)
    assert cv2.imwrite(str(pc.folder / "empty.png"), part_picture() // 4)
    camera = camera_table("belt", "belt.avi", fps=10.0, k=2, n=4, cool_down_s=1000)
    rules = '[camera.parts]\nempty = "empty.png"\n[camera.streak]\nparts = 2\n'
    code, figures, stderr = pc.run(camera + rules)
    assert code == 0, stderr
    verdicts = collector.data("verdict")
    assert [v["verdict"] for v in verdicts] == ["ok", "defect", "defect", "ok"]
    run = verdicts[0]["part_id"].partition("-")[0]
    assert [v["part_id"] for v in verdicts] == [f"{run}-{n}" for n in (1, 2, 3, 4)]
    (alert,) = collector.data()
    assert alert["part_id"] == f"{run}-2"
    assert PART_FRAMES <= alert["frame_id"] < 2 * PART_FRAMES
    assert alert["evidence"]
    belt = figures["cameras"]["belt"]
    assert belt["verdicts"] == {"ok": 2, "defect": 2, "not-inspected": 0}
    assert (belt["alerts"], belt["alerts_suppressed"]) == (1, 1)
    states = collector.states[pc.topics.camera("belt", "status")]
    raised = [
        state["reason"].startswith("defect streak: 2 or more") for state in states
    ]
    assert True in raised
    assert not raised[-1]


def test_picture_of_the_empty_belt_that_is_missing_is_named(pc: DaemonPc) -> None:
    write_video(pc.folder / "belt.avi", 3, FPS, belt_with_parts)
    rules = '[camera.parts]\nempty = "empty.png"\n'
    code, _, stderr = pc.run(camera_table("belt", "belt.avi") + rules)
    assert code == ConfigError.exit_code
    assert "empty.png: cannot be used" in stderr
    assert "No such file" in stderr
    assert "Traceback" not in stderr


def test_threshold_for_an_unknown_label_is_refused_at_the_start(pc: DaemonPc) -> None:
    (pc.folder / "parts").mkdir()
    rules = region_table("rim", (0, 0, 10, 2), "thresholds = { brihgt = 0.3 }")
    code, _, stderr = pc.run(camera_table("top", "folder:parts") + rules)
    assert code == ConfigError.exit_code
    assert "camera top: region rim has a threshold for 'brihgt'" in stderr
    assert "knows bright, red" in stderr
    assert "Traceback" not in stderr


def test_model_without_a_label_of_a_region_runs_and_the_station_is_degraded(
    pc: DaemonPc, collector: SimCollector, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "second", build=2, labels=("pale", "red"))
    write_video(pc.folder / "a.avi", 300, FPS, defect_between(0, 299))
    rules = region_table("all", (0, 0, 10, 10), "thresholds = { bright = 0.4 }")
    process = pc.start(camera_table("a", "a.avi", track_max_missed=1) + rules)
    pc.wait_until_inspecting(2)
    install_package(pc.slot.root, package)
    reason = "camera a: region all has a threshold for 'bright', unknown to the model"
    collector.wait_for_state(pc.topics.status)
    states = collector.states[pc.topics.status]
    until(lambda: states[-1]["state"] == "degraded")
    assert states[-1]["reason"] == reason
    assert states[-1]["model"]["build"] == 2
    inspected = pc.health.frames_inspected if pc.health else 0
    pc.wait_until_inspecting(inspected + 5)
    process.terminate()
    code, figures = pc.end_of(process)
    assert code == 0, pc.stderr
    assert figures["model"]["build"] == 2
    assert "Traceback" not in pc.stderr
