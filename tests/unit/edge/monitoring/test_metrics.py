"""The metrics of a daemon in the text format of Prometheus."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.delivery.outbox.events import EventKind, NewEvent, QueuedEvent
from edge.inspection.pipeline import Pipeline
from edge.monitoring.metrics import DaemonMetrics
from edge.monitoring.status import DaemonStatus
from models.messages import CameraState, DaemonState, VerdictKind
from tests.simulators.alerts import TOPICS
from tests.simulators.cameras import SimCamera, sim_channel, sim_model
from tests.simulators.delivery import SimOutbox, SimPublisher


class Daemon:
    """The metrics of simulated parts."""

    def __init__(self, folder: Path) -> None:
        self.camera = SimCamera("top")
        self.outbox, self.publisher = SimOutbox(), SimPublisher()
        channels = [sim_channel(self.camera)]
        self.pipeline = Pipeline(sim_model(build=7), channels, None)  # type: ignore[arg-type]
        self.outbox_path = folder / "outbox.sqlite"
        self.stuck: tuple[str, ...] = ()
        status = DaemonStatus(
            "boot",
            "1.0",
            TOPICS,
            self.pipeline,
            self.outbox,  # type: ignore[arg-type]
            lambda: (),
            lambda: 0,
        )
        self.metrics = DaemonMetrics(
            status=status,
            publisher=self.publisher,  # type: ignore[arg-type]
            state=lambda: DaemonState.DEGRADED,
            stuck=lambda: self.stuck,
            is_throttled=lambda: True,
            outbox_path=self.outbox_path,
        )

    def samples(self) -> dict[tuple[str, str], float]:
        """Return every sample by its name and the values of its labels."""
        return {
            (sample.name, " ".join(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(self.metrics.render().decode())
            for sample in family.samples
        }


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path)


def test_counters_of_a_camera_have_its_name(daemon: Daemon) -> None:
    (channel,) = daemon.pipeline.channels
    daemon.camera.frames_captured, daemon.camera.frames_dropped = 9, 2
    channel.counters.torn, channel.counters.alerts = 1, 4
    channel.counters.verdicts[VerdictKind.OK] = 6
    found = daemon.samples()
    assert found["edge_frames_total", "top"] == 9
    assert found["edge_frames_dropped_total", "top"] == 3
    assert found["edge_alerts_total", "top"] == 4
    assert found["edge_verdicts_total", "top ok"] == 6


def test_exactly_one_state_is_current(daemon: Daemon) -> None:
    daemon.camera.state = CameraState.LOST
    found = daemon.samples()
    daemon_states = [v for (name, _), v in found.items() if name == "edge_state"]
    camera_states = [v for (name, _), v in found.items() if name == "edge_camera_state"]
    assert sum(daemon_states) == sum(camera_states) == 1
    assert found["edge_state", "degraded"] == 1
    assert found["edge_camera_state", "top lost"] == 1


def test_latencies_are_a_histogram_in_seconds(daemon: Daemon) -> None:
    for milliseconds in (1, 15, 60_000):
        daemon.pipeline.infer_latency.record(milliseconds * 1_000_000)
    found = daemon.samples()
    assert found["edge_infer_seconds_bucket", "0.005"] == 1
    assert found["edge_infer_seconds_bucket", "0.02"] == 2
    assert found["edge_infer_seconds_bucket", "10.0"] == 2
    assert found["edge_infer_seconds_bucket", "+Inf"] == 3
    assert found["edge_infer_seconds_sum", ""] == pytest.approx(60.016, rel=0.01)


def test_size_of_the_outbox_has_its_write_ahead_log(daemon: Daemon) -> None:
    assert daemon.samples()["edge_outbox_bytes", ""] == 0
    daemon.outbox_path.write_bytes(b"x" * 100)
    daemon.outbox_path.with_name("outbox.sqlite-wal").write_bytes(b"x" * 20)
    assert daemon.samples()["edge_outbox_bytes", ""] == 120


@pytest.mark.parametrize(
    ("hours_ago", "age_s"),
    [(1, 3600), (-1, 0), (None, 0)],
    ids=["an hour", "the clock jumped back", "damaged"],
)
def test_age_of_the_oldest_event_is_never_negative(
    daemon: Daemon, hours_ago: float | None, age_s: float
) -> None:
    time = "damaged"
    if hours_ago is not None:
        time = (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat()
    event = NewEvent(EventKind.ALERT, "topic", time, b"{}")
    daemon.outbox.events = [QueuedEvent(1, event, was_sent=False)]
    age = daemon.samples()["edge_outbox_oldest_seconds", ""]
    assert age == pytest.approx(age_s, abs=60)


def test_broker_and_loops_are_shown(daemon: Daemon) -> None:
    daemon.publisher.connected, daemon.publisher.connects = False, 3
    daemon.outbox.is_failing, daemon.stuck = True, ("outbox", "cameras")
    found = daemon.samples()
    assert found["edge_mqtt_connected", ""] == 0
    assert found["edge_mqtt_reconnects_total", ""] == 2
    assert found["edge_acknowledgements_refused_total", ""] == 0
    assert found["edge_outbox_failing", ""] == 1
    assert found["edge_loops_stuck", ""] == 2
    assert found["edge_cpu_throttled", ""] == 1


def test_model_in_force_is_named_with_the_version(daemon: Daemon) -> None:
    labels = [key for key in daemon.samples() if key[0] == "edge_model_info"]
    ((_, values),) = labels
    assert {"sim", "7", "1.0"} <= set(values.split())


def test_every_metric_has_a_help_text_that_is_a_sentence(daemon: Daemon) -> None:
    own = [
        family
        for family in text_string_to_metric_families(daemon.metrics.render().decode())
        if family.name.startswith("edge_")
    ]
    assert len(own) > 15
    assert all(len(each.documentation.split()) > 3 for each in own)
