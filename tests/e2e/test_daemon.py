"""The real daemon as a process: cameras, model, outbox, a real mosquitto."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import cv2
import pytest

from models.errors import (
    CameraError,
    ConfigError,
    DeliveryError,
    InstallError,
    PackageError,
)
from tests.simulators.broker import Broker, free_port
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import (
    DaemonPc,
    camera_processes_of,
    camera_table,
    children_of,
    is_alive,
    kill,
)
from tests.simulators.packages import (
    install_package,
    make_package,
    part_picture,
    write_parts,
)
from tests.simulators.videos import defect_between, write_video
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

FPS = 30.0
BOLTS = "derived-intel-bolt-conveyor-loop.mp4"
BOTTLES = "intel-bottle-detection.mp4"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (the system's, only read)


def test_every_part_of_a_folder_gets_its_verdict(
    pc: DaemonPc, collector: SimCollector
) -> None:
    stems = write_parts(pc.folder / "parts", good=6, defective=5)
    broken = pc.folder / "parts" / "part-3.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    code, figures, stderr = pc.run(camera_table("top", "folder:parts"))
    assert code == 0, stderr
    verdicts = collector.data("verdict")
    assert [v["part_id"] for v in verdicts] == stems
    kinds = {v["part_id"]: v["verdict"] for v in verdicts}
    assert kinds["part-3"] == "not-inspected"
    assert "cut off" in verdicts[3]["reason"]
    assert [k for k, v in kinds.items() if v == "defect"] == stems[6:]
    alerts = collector.data()
    assert [a["part_id"] for a in alerts] == stems[6:]
    assert [a["frame_id"] for a in alerts] == list(range(6, 11))
    top = figures["cameras"]["top"]
    assert top["verdicts"] == {"ok": 5, "defect": 5, "not-inspected": 1}
    assert (top["frames_captured"], top["frames_inspected"]) == (11, 10)
    assert (top["frames_unreadable"], top["frames_dropped"], top["alerts"]) == (1, 0, 5)
    assert top["latency_ms_p99"] >= top["latency_ms_p50"] > 0
    assert (figures["outbox"]["delivered"], figures["outbox"]["undelivered"]) == (16, 0)


def test_alert_shows_where_the_defect_is_and_its_evidence_is_on_disk(
    pc: DaemonPc, collector: SimCollector
) -> None:
    (pc.folder / "parts").mkdir()
    picture = part_picture((3, 4), size_px=640)
    assert cv2.imwrite(str(pc.folder / "parts" / "a.png"), picture)
    code, _, stderr = pc.run(camera_table("top", "folder:parts"))
    assert code == 0, stderr
    (alert,) = collector.data()
    (defect,) = alert["detections"]
    assert defect["label"] == "bright"
    assert defect["box_px"] == pytest.approx([192, 256, 256, 320], abs=0.1)
    evidence = cv2.imread(str(pc.folder / "evidence" / alert["evidence"]))
    assert evidence is not None
    assert evidence.shape == picture.shape
    assert abs(evidence.astype(int) - picture).mean() < 3
    assert alert["model"]["sha256"] == pc.slot.package_of(pc.slot.current)
    assert alert["decided_ns"] >= alert["captured_ns"]


def test_defect_in_a_video_is_one_alert_at_one_of_its_frames(
    pc: DaemonPc, collector: SimCollector
) -> None:
    write_video(pc.folder / "belt.avi", 60, FPS, defect_between(20, 45))
    camera = camera_table("belt", "file:belt.avi", fps=15.0)  # slow: a busy test PC
    code, figures, stderr = pc.run(camera)
    assert code == 0, stderr
    (alert,) = collector.data()
    assert 20 <= alert["frame_id"] <= 45
    assert alert["part_id"] is None
    belt = figures["cameras"]["belt"]
    assert belt["frames_captured"] == 60
    assert belt["frames_inspected"] + belt["frames_dropped"] == 60
    assert belt["alerts"] == 1
    assert not collector.data("verdict")


def test_station_publishes_ready_and_at_the_end_disconnected(
    pc: DaemonPc, collector: SimCollector
) -> None:
    write_video(pc.folder / "belt.avi", 40, 20, defect_between(10, 30))
    code, _, stderr = pc.run(camera_table("belt", "belt.avi"))
    assert code == 0, stderr
    states = [w["state"] for w in collector.states[pc.topics.status]]
    assert list(dict.fromkeys(states)) == ["init", "ready", "disconnected"]
    camera = [w["state"] for w in collector.states[pc.topics.camera("belt", "status")]]
    assert list(dict.fromkeys(camera))[-2:] == ["up", "ended"]
    assert pc.health is not None
    assert pc.health.state == "disconnected"


def test_camera_that_is_not_there_is_a_camera_error(pc: DaemonPc) -> None:
    code, _, stderr = pc.run(camera_table("top", "folder:nowhere"))
    assert code == CameraError.exit_code
    assert f"error: camera top: {pc.folder}/nowhere: there is no such file" in stderr
    assert "Fix: Give the path of an existing folder" in stderr
    assert "Traceback" not in stderr


def test_network_camera_that_is_not_there_is_a_camera_error(pc: DaemonPc) -> None:
    camera = camera_table("top", "rtsp://u:secret@127.0.0.1:1/x", open_timeout_ms=500)
    code, _, stderr = pc.run(camera)
    assert code == CameraError.exit_code
    assert "camera top: rtsp://127.0.0.1:1/x: the video cannot be opened" in stderr
    assert "secret" not in stderr
    assert "Fix: " in stderr
    assert "Traceback" not in stderr


def test_missing_camera_does_not_keep_the_others_from_inspecting(
    pc: DaemonPc, collector: SimCollector
) -> None:
    write_parts(pc.folder / "parts", good=2, defective=2)
    cameras = (
        camera_table("gone", "file:nowhere.mp4"),
        camera_table("top", "folder:parts"),
    )
    code, figures, stderr = pc.run(*cameras)
    assert code == CameraError.exit_code  # not every source was inspected
    assert figures["cameras"]["top"]["verdicts"]["defect"] == 2
    assert figures["cameras"]["gone"]["state"] == "lost"
    assert len(collector.data()) == 2
    assert "camera gone" in stderr


@pytest.mark.fault(35)
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV])
def test_killed_camera_recovers_without_an_effect_on_the_other(
    pc: DaemonPc, collector: SimCollector, death: signal.Signals
) -> None:
    write_video(pc.folder / "a.avi", 120, FPS, defect_between(90, 119))
    write_video(pc.folder / "b.avi", 120, FPS, defect_between(0, 0))
    process = pc.start(
        camera_table("a", "a.avi", fps=20.0), camera_table("b", "b.avi", fps=20.0)
    )
    pc.wait_until_inspecting(10)
    first, _ = camera_processes_of(process.pid)
    os.kill(first, death)
    code, figures = pc.end_of(process)
    assert code == 0, pc.stderr
    a, b = figures["cameras"]["a"], figures["cameras"]["b"]
    assert (a["restarts"], b["restarts"]) == (1, 0)
    assert (a["state"], b["state"]) == ("ended", "ended")
    assert (a["frames_captured"], b["frames_captured"]) == (120, 120)
    assert [alert["camera"] for alert in collector.data()] == ["a"]
    states = collector.states
    said_of = {
        name: [w["state"] for w in states[pc.topics.camera(name, "status")]]
        for name in "ab"
    }
    assert "lost" in said_of["a"]
    assert "lost" not in said_of["b"]
    assert death.name in pc.stderr


@pytest.mark.fault(34)
def test_hanging_camera_is_killed_and_restarted(pc: DaemonPc) -> None:
    write_video(pc.folder / "a.avi", 60, FPS, defect_between(0, 0))
    process = pc.start(camera_table("a", "a.avi", fps=20.0, read_timeout_ms=300))
    pc.wait_until_inspecting(5)
    (camera,) = camera_processes_of(process.pid)
    os.kill(camera, signal.SIGSTOP)
    until(lambda: not is_alive(camera))
    code, figures = pc.end_of(process)
    assert code == 0, pc.stderr
    assert figures["cameras"]["a"]["frames_captured"] == 60
    assert figures["cameras"]["a"]["restarts"] == 1
    assert "hung and was killed" in pc.stderr


def test_folder_camera_that_is_killed_inspects_every_part_once(
    pc: DaemonPc, collector: SimCollector
) -> None:
    stems = write_parts(pc.folder / "parts", good=60, defective=0)
    process = pc.start(camera_table("top", "folder:parts", fps=20.0))
    for parts in (10, 30):
        pc.wait_until_inspecting(parts)
        for camera in camera_processes_of(process.pid):
            kill(camera)
    code, figures = pc.end_of(process)
    assert code == 0, pc.stderr
    assert [v["part_id"] for v in collector.data("verdict")] == stems
    assert figures["cameras"]["top"]["verdicts"]["ok"] == 60
    assert figures["cameras"]["top"]["restarts"] >= 1


def test_without_a_broker_it_inspects_and_the_outbox_keeps(tmp_path: Path) -> None:
    pc = DaemonPc(tmp_path, free_port(), stalled_after_s=1.5)
    write_parts(pc.folder / "parts", good=2, defective=3)
    code, figures, stderr = pc.run(camera_table("top", "folder:parts"))
    assert code == DeliveryError.exit_code
    assert figures["cameras"]["top"]["alerts"] == 3
    assert figures["outbox"] == {
        "stream": figures["outbox"]["stream"],
        "committed": 8,
        "delivered": 0,
        "undelivered": 8,
    }
    assert "8 events are not delivered" in stderr
    assert "Fix: Start broker" in stderr
    assert "Traceback" not in stderr


def test_events_that_an_earlier_run_could_not_deliver_are_delivered_by_the_next(
    tmp_path: Path,
) -> None:
    port = free_port()
    pc = DaemonPc(tmp_path, port, stalled_after_s=1.5)
    write_parts(pc.folder / "parts", good=0, defective=3)
    assert pc.run(camera_table("top", "folder:parts"))[0] == DeliveryError.exit_code
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker", port=port), SimCollector(tmp_path, port) as late:
        code, figures, stderr = pc.run(camera_table("top", "folder:parts"))
        assert code == 0, stderr
        assert figures["outbox"]["committed"] == 12
        alerts = late.data()
        verdicts = late.data("verdict")
    seqs = sorted(event["seq"] for event in [*alerts, *verdicts])
    assert seqs == list(range(1, 13))


@pytest.mark.fault(66)
def test_sigterm_delivers_everything_and_publishes_disconnected(
    pc: DaemonPc, collector: SimCollector
) -> None:
    write_video(pc.folder / "a.avi", 900, FPS, defect_between(5, 899))
    process = pc.start(camera_table("a", "a.avi"), at_end=False)
    pc.wait_until_inspecting(20)
    cameras = children_of(process.pid)
    process.send_signal(signal.SIGTERM)
    code, figures = pc.end_of(process)
    assert code == 0, pc.stderr
    assert len(collector.data()) == figures["cameras"]["a"]["alerts"] == 1
    assert collector.states[pc.topics.status][-1]["state"] == "disconnected"
    assert "stopping reason=SIGTERM" in pc.stderr
    assert "stopped reason=SIGTERM undelivered=0 not_written=0" in pc.stderr
    until(lambda: not any(map(is_alive, cameras)))


def test_ctrl_c_ends_in_order(pc: DaemonPc, collector: SimCollector) -> None:
    write_video(pc.folder / "a.avi", 900, FPS, defect_between(0, 0))
    process = pc.start(camera_table("a", "a.avi"), at_end=False)
    pc.wait_until_inspecting()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    code, figures = pc.end_of(process)
    assert code == 130
    assert figures["state"] == "disconnected"
    assert figures["cameras"]["a"]["restarts"] == 0
    assert "Traceback" not in pc.stderr


def test_killed_daemon_leaves_nothing_behind(
    pc: DaemonPc, collector: SimCollector
) -> None:
    write_video(pc.folder / "a.avi", 900, FPS, defect_between(0, 0))
    shared_before = set(SHARED_MEMORY.iterdir())
    process = pc.start(camera_table("a", "a.avi"), at_end=False)
    pc.wait_until_inspecting()
    children = children_of(process.pid)
    assert len(children) >= 1
    process.kill()
    process.communicate(timeout=10)
    until(lambda: not any(map(is_alive, children)))
    assert set(SHARED_MEMORY.iterdir()) <= shared_before
    assert "resource_tracker" not in pc.stderr
    until(
        lambda: collector.states[pc.topics.status][-1]["state"] == "lost"
    )  # the last will


def test_new_model_is_swapped_in_between_two_frames(
    pc: DaemonPc, collector: SimCollector, tmp_path: Path
) -> None:
    # The part is bright enough for the first model's threshold only from build 2 on.
    package = make_package(tmp_path / "second", build=2, score_threshold=0.1)
    write_video(pc.folder / "a.avi", 400, 20, defect_between(999, 999))
    process = pc.start(camera_table("a", "a.avi"))
    pc.wait_until_inspecting(10)
    install_package(pc.slot.root, package)
    until(lambda: bool(pc.health and pc.health.package_sha256 == package.sha256))
    assert collector.wait_for(1) >= 1
    process.send_signal(signal.SIGTERM)
    code, figures = pc.end_of(process)
    assert code == 0, pc.stderr
    assert figures["model"]["build"] == 2
    assert {alert["model"]["build"] for alert in collector.data()} == {2}
    assert figures["cameras"]["a"]["restarts"] == 0


def test_damaged_new_model_is_refused_and_the_old_one_continues(
    pc: DaemonPc, collector: SimCollector, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "second", build=2)
    graph = package.folder / "openvino" / "fp32.bin"
    write_video(pc.folder / "a.avi", 120, 20, defect_between(90, 119))
    process = pc.start(camera_table("a", "a.avi"))
    pc.wait_until_inspecting(5)
    shutil.copytree(package.folder, pc.slot.store / package.sha256)
    (pc.slot.store / package.sha256 / graph.relative_to(package.folder)).write_bytes(
        b"x"
    )
    install_package(pc.slot.root, package)
    code, figures = pc.end_of(process)
    assert code == 0, pc.stderr
    assert figures["model"]["build"] == 1
    assert "model_refused" in pc.stderr
    assert len(collector.data()) == 1
    reasons = [w["reason"] for w in collector.states[pc.topics.status]]
    assert any(f"model {package.sha256[:12]} refused: " in each for each in reasons)


def test_damaged_package_is_refused_at_start(pc: DaemonPc) -> None:
    graph = pc.slot.current.resolve() / "openvino" / "fp32.xml"
    graph.write_bytes(graph.read_bytes().replace(b"bright", b"dright", 1))
    write_parts(pc.folder / "parts", good=1, defective=0)
    code, _, stderr = pc.run(camera_table("top", "folder:parts"))
    assert code == PackageError.exit_code
    assert "fp32.xml has sha256" in stderr
    assert "Traceback" not in stderr


@pytest.mark.fault(44)
def test_damaged_package_is_replaced_by_the_previous_one_at_start(
    pc: DaemonPc, collector: SimCollector, tmp_path: Path
) -> None:
    first = pc.slot.current.resolve()
    second = make_package(tmp_path / "second", build=2)
    install_package(pc.slot.root, second)
    pc.slot.previous.symlink_to(first)
    graph = pc.slot.current.resolve() / "openvino" / "fp32.xml"
    graph.write_bytes(graph.read_bytes().replace(b"bright", b"dright", 1))
    write_video(pc.folder / "a.avi", 90, 20, defect_between(20, 50))
    code, figures, stderr = pc.run(camera_table("a", "a.avi"))
    assert code == 0, stderr
    assert figures["model"]["build"] == 1
    assert "model_damaged" in stderr
    assert len(collector.data()) == 1
    reasons = [each["reason"] for each in collector.states[pc.topics.status]]
    assert any(f"model {second.sha256[:12]} refused: " in each for each in reasons)


def test_slot_without_a_model_is_an_error_with_a_fix(pc: DaemonPc) -> None:
    pc.slot.current.unlink()
    write_parts(pc.folder / "parts", good=1, defective=0)
    code, _, stderr = pc.run(camera_table("top", "folder:parts"))
    assert code == InstallError.exit_code
    assert "Fix: Run `graftline flash PACKAGE" in stderr


@pytest.mark.fault(18)
def test_second_daemon_on_the_same_outbox_is_refused(pc: DaemonPc) -> None:
    write_video(pc.folder / "a.avi", 900, FPS, defect_between(0, 0))
    process = pc.start(camera_table("a", "a.avi"), at_end=False)
    pc.wait_until_inspecting()
    second = pc.start(camera_table("a", "a.avi"))
    code, _ = pc.end_of(second)
    assert code == DeliveryError.exit_code
    process.send_signal(signal.SIGTERM)
    assert pc.end_of(process)[0] == 0


def test_typo_in_the_configuration_is_an_error_with_the_right_key(pc: DaemonPc) -> None:
    code, _, stderr = pc.run(camera_table("top", "folder:parts", fsp=3))
    assert code == ConfigError.exit_code
    assert "camera.0.fsp: unknown key, did you mean fps?" in stderr


def test_print_config_shows_what_is_understood(pc: DaemonPc) -> None:
    process = pc.start(camera_table("top", "rtsp://user:secret@cam/1"))
    process.kill()
    process.communicate(timeout=10)
    result = subprocess.run(
        [*process.args[:2], "run", "--config", pc.config, "--print-config"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0
    shown = json.loads(result.stdout)
    assert shown["camera"][0]["source"] == "rtsp://cam/1"
    assert shown["station"]["site"] == "site"


def test_real_boards_and_real_videos_are_inspected_to_their_end(
    pc: DaemonPc, collector: SimCollector, shared: Path
) -> None:
    videos, boards = shared / "data" / "videos", shared / "data" / "pcb" / "good"
    code, figures, stderr = pc.run(
        camera_table("bolts", videos / BOLTS, fps=100.0),
        camera_table("bottles", videos / BOTTLES, fps=100.0),
        camera_table("boards", boards),
    )
    assert code == 0, stderr
    cameras = figures["cameras"]
    assert cameras["bolts"]["frames_captured"] == 1110
    assert cameras["bottles"]["frames_captured"] == 1189
    for name in ("bolts", "bottles"):
        seen = cameras[name]["frames_inspected"] + cameras[name]["frames_dropped"]
        assert seen == cameras[name]["frames_captured"]
    assert sum(cameras["boards"]["verdicts"].values()) == 150
    # One of the boards in this public set is an empty white picture.
    assert cameras["boards"]["verdicts"]["not-inspected"] == 1
    verdicts = collector.data("verdict")
    refused = [v for v in verdicts if v["verdict"] == "not-inspected"]
    assert [(v["part_id"], v["reason"]) for v in refused] == [("20085168", "white")]
    alerts = collector.data()
    assert len(alerts) == sum(camera["alerts"] for camera in cameras.values()) > 0
    stems = [path.stem for path in sorted(boards.iterdir())]
    assert [v["part_id"] for v in verdicts] == stems
