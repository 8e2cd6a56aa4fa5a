"""What the daemon publishes about itself, and when."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.config.monitoring import ThermalSettings
from edge.config.station import HealthSettings
from edge.inspection.pipeline import Pipeline
from edge.monitoring.status import DaemonStatus, StatusReporter, is_clock_synchronized
from edge.monitoring.thermal import ThermalMonitor
from models.messages import (
    CameraState,
    CameraStatus,
    DaemonState,
    ModelProof,
    StationStatus,
)
from tests.simulators.alerts import TOPICS
from tests.simulators.cameras import SimCamera, sim_channel, sim_model
from tests.simulators.delivery import SimOutbox, SimPublisher
from tests.simulators.sysfs import SimSysfs

TOP_STATUS = TOPICS.camera("top", "status")


class Station:
    """A status reporter over simulated parts; its thread is not started."""

    def __init__(self, folder: Path, *cameras: SimCamera) -> None:
        self.health_file = folder / "health.json"
        self.outbox, self.publisher = SimOutbox(), SimPublisher()
        channels = [sim_channel(camera) for camera in cameras]
        self.pipeline = Pipeline(sim_model(), channels, None)  # type: ignore[arg-type]
        self.part_faults: list[str] = []
        self.waiting = 0
        self.status = DaemonStatus(
            "boot",
            "1.0",
            TOPICS,
            self.pipeline,
            self.outbox,  # type: ignore[arg-type]
            lambda: self.part_faults,
            lambda: self.waiting,
        )
        self.reporter = StatusReporter(
            HealthSettings(),
            self.status,
            self.publisher,  # type: ignore[arg-type]
            thermal=ThermalMonitor(ThermalSettings(sysfs=folder)),
            health_file=self.health_file,
            show_progress=lambda _: None,
        )

    def published(self, topic: str) -> list[tuple[str, str]]:
        """Return state and reason of each message of a topic."""
        messages = self.publisher.states_of(topic)
        assert all(isinstance(m, StationStatus | CameraStatus) for m in messages)
        return [(m.state.value, m.reason) for m in messages]  # type: ignore[attr-defined]


@pytest.fixture
def camera() -> SimCamera:
    return SimCamera("top")


@pytest.fixture
def station(tmp_path: Path, camera: SimCamera) -> Station:
    return Station(tmp_path, camera)


def test_daemon_is_ready_when_every_camera_is_settled(
    station: Station, camera: SimCamera
) -> None:
    camera.is_settled = False
    station.reporter.update()
    assert station.reporter.state is DaemonState.INIT
    camera.is_settled = True
    station.reporter.update()
    assert station.reporter.state is DaemonState.READY
    assert station.published(TOPICS.status) == [("init", ""), ("ready", "")]


def test_status_is_published_once_while_nothing_changes(station: Station) -> None:
    for _ in range(5):
        station.reporter.update()
    assert station.published(TOPICS.status) == [("ready", "")]
    assert station.published(TOP_STATUS) == [("up", "")]


def test_status_reports_temperature_clock_and_proof(tmp_path: Path) -> None:
    station = Station(tmp_path, SimCamera("top"))
    sysfs = SimSysfs(tmp_path / "sys")
    sysfs.heat(61.5)
    thermal = ThermalMonitor(ThermalSettings(sysfs=sysfs.root))
    thermal.check(0)
    status = replace(station.status, temperature_c=lambda: thermal.hottest_c)
    proof = ModelProof(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        machine="12 cores",
        golden_frames=16,
        precision_hint="f32",
        streams=1,
        latency_ms_p50=8,
        latency_ms_p99=9,
    )
    station.pipeline.model.proof = proof
    message = status.station_status(DaemonState.READY)
    assert message.temperature_c == 61.5
    assert message.clock_synchronized is is_clock_synchronized()
    assert message.proof == proof


def test_faults_of_cameras_and_parts_degrade_the_daemon(
    station: Station, camera: SimCamera
) -> None:
    camera.state = CameraState.LOST
    station.part_faults = ["", "outbox not writable"]
    station.reporter.update()
    assert station.status.faults == ("camera top lost", "outbox not writable")
    ((state, reason),) = station.published(TOPICS.status)
    assert state == "degraded"
    assert "camera top lost" in reason
    assert "outbox not writable" in reason


def test_rule_that_hides_every_defect_degrades_the_daemon(
    tmp_path: Path, camera: SimCamera
) -> None:
    station = Station(tmp_path, camera)
    station.pipeline.swap_channels([sim_channel(camera, cool_down_s=86_400)])
    station.reporter.update()
    station.pipeline.swap_channels([sim_channel(camera, cool_down_s=60)])
    station.reporter.update()
    assert station.published(TOPICS.status) == [
        (
            "degraded",
            (
                "camera top: cool_down_s = 86400 holds back all defects of one kind "
                "for 24 hours after an alert"
            ),
        ),
        ("ready", ""),
    ]


def test_defect_rate_alarm_is_published_as_a_change_of_the_camera(
    station: Station,
) -> None:
    station.reporter.update()
    (channel,) = station.pipeline.channels
    channel.defect_rate._in_a_row = channel.defect_rate._parts = 3  # noqa: SLF001
    station.reporter.update()
    states = [state for state, _ in station.published(TOP_STATUS)]
    assert states == ["up", "degraded"]


def test_camera_removed_by_a_reload_is_published_as_ended(station: Station) -> None:
    station.reporter.update()
    station.pipeline.swap_channels([])
    station.reporter.update()
    assert station.published(TOP_STATUS)[-1][0] == "ended"
    station.reporter.update()
    assert len(station.published(TOP_STATUS)) == 2


def test_health_file_holds_the_sums_of_all_cameras(tmp_path: Path) -> None:
    station = Station(tmp_path, SimCamera("top"), SimCamera("side"))
    for channel in station.pipeline.channels:
        channel.counters.inspected, channel.counters.alerts = 5, 2
        channel.counters.latency.record(1)
    station.reporter.update()
    station.reporter.write_stats()
    health = json.loads(station.health_file.read_text("utf-8"))
    assert (health["frames_inspected"], health["alerts"]) == (10, 4)
    assert health["state"] == "ready"
    topics = [topic for topic, _ in station.publisher.stats]
    assert topics == [TOPICS.camera(name, "stats") for name in ("top", "side")]


def test_health_file_that_cannot_be_written_is_logged_once(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    station.health_file.mkdir()
    station.reporter.write_stats()
    station.reporter.write_stats()
    assert caplog.text.count("health_not_written") == 1
    assert "do not see this daemon" in station.reporter.fault
    station.health_file.rmdir()
    station.reporter.write_stats()
    assert station.reporter.fault == ""


@pytest.mark.fault(87)
def test_second_daemon_on_one_slot_is_a_fault_of_both(tmp_path: Path) -> None:
    first = Station(tmp_path, SimCamera("top"))
    second = Station(tmp_path, SimCamera("top"))
    second.status = replace(second.status, boot_id="another boot")
    second.reporter._status = second.status  # noqa: SLF001 - built with the same id
    first.reporter.write_stats()
    first.reporter.write_stats()
    assert first.reporter.fault == "", "it is the only one"
    second.reporter.write_stats()
    first.reporter.write_stats()
    second.reporter.write_stats()
    for each in (first, second):
        assert "another daemon uses this slot" in each.reporter.fault
    for _ in range(6):
        first.reporter.write_stats()
    assert first.reporter.fault == "", "the other one has ended"


def test_report_of_the_daemon_before_is_not_a_second_daemon(tmp_path: Path) -> None:
    before = Station(tmp_path, SimCamera("top"))
    before.reporter.write_stats()
    after = Station(tmp_path, SimCamera("top"))
    after.status = replace(after.status, boot_id="another boot")
    after.reporter._status = after.status  # noqa: SLF001 - built with the same id
    after.reporter.write_stats()
    after.reporter.write_stats()
    assert after.reporter.fault == ""


def test_last_status_is_disconnected(station: Station) -> None:
    station.reporter.update()
    assert station.reporter.stop().state is DaemonState.DISCONNECTED
    health = json.loads(station.health_file.read_text("utf-8"))
    assert health["state"] == "disconnected"


def test_progress_line_names_cameras_outbox_and_broker(station: Station) -> None:
    station.outbox.rows = station.waiting = 3
    station.publisher.connected, station.publisher.problem = False, "refused"
    line = station.reporter.progress_line()
    assert line.startswith("init | top up: 0 frames")
    assert line.endswith("| outbox 3 | broker not connected (refused)")
    station.waiting = 0
    assert "| outbox 0 (3 kept) |" in station.reporter.progress_line()


def test_status_reports_the_events_that_wait_by_the_rule_in_force(
    station: Station,
) -> None:
    station.outbox.rows, station.waiting = 185, 0
    status = station.status.station_status(DaemonState.READY)
    assert status.outbox_depth == 0, "the others are kept for a dashboard"


def test_clock_before_this_program_was_written_is_not_synchronized(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert not is_clock_synchronized()
