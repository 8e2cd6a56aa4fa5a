"""Every alert that was committed reaches the history, once and in order.

A real mosquitto, a real history; the broker and the daemon's process are killed.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.config.station import BrokerSettings, CollectorAck, ProtocolChoice
from edge.delivery.outbox.outbox import EventKind, Outbox
from edge.delivery.publisher import Publisher
from models.messages import DaemonState
from tests.simulators.alerts import (
    ALERT_TOPIC,
    TOPICS,
    VERDICT_TOPIC,
    alert,
    jpeg,
    station_status,
    verdict,
)
from tests.simulators.broker import MOSQUITTO, Broker
from tests.simulators.collector import SimCollector
from tests.waiting import until

if TYPE_CHECKING:
    from concurrent.futures import Future

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto"),
]
REPOSITORY = Path(__file__).resolve().parents[2]
NO_DELAY = "set_tcp_nodelay true"


class Edge:
    """The daemon's way out: outbox and publisher."""

    def __init__(self, folder: Path, port: int, **broker: object) -> None:
        self.outbox = Outbox(folder / "outbox.db", TOPICS, 64 << 20)
        self.outbox.start()
        settings = BrokerSettings.model_validate(
            {"port": port, "keepalive_s": 2, "reconnect_max_s": 1, **broker}
        )
        will = station_status(DaemonState.LOST)
        self.publisher = Publisher(settings, self.outbox, TOPICS, will)
        self.publisher.publish_state(TOPICS.status, station_status())
        self.publisher.start()

    def put(self, frame_id: int, image: bytes | None = None) -> int:
        content = alert(frame_id, image)
        future = self.outbox.put(EventKind.ALERT, ALERT_TOPIC, content, image)
        return future.result(10)

    def close(self) -> None:
        self.publisher.stop(station_status(DaemonState.DISCONNECTED), 3)
        self.outbox.close()


Start = Callable[..., Edge]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path, NO_DELAY) as running:
        yield running


@pytest.fixture
def start_edge(tmp_path: Path) -> Iterator[Start]:
    started: list[Edge] = []

    def start(port: int, **broker: object) -> Edge:
        started.append(Edge(tmp_path, port, **broker))
        return started[-1]

    yield start
    for edge in started:
        edge.close()


def frames(history: list[dict[str, object]]) -> list[int]:
    return [event["data"]["frame_id"] for event in history]  # type: ignore[index]


def test_alert_with_its_picture_reaches_the_history_and_leaves_the_outbox(
    tmp_path: Path, broker: Broker, start_edge: Start
) -> None:
    image = jpeg(1, 20_000)
    with SimCollector(tmp_path, broker.port) as collector:
        edge = start_edge(broker.port)
        edge.put(7, image)
        assert collector.wait_for(1) == 1
        (event,) = collector.history()
        digest = hashlib.sha256(image).hexdigest()
        assert event["data"]["thumbnail_sha256"] == digest
        assert event["id"] == f"{edge.outbox.stream}:1"
        assert until(lambda: edge.outbox.depth() == 0)
        assert edge.publisher.undelivered() == 0
        assert edge.publisher.delivered == 1
        assert collector.errors == []


def test_alerts_and_verdicts_arrive_in_the_order_of_their_positions(
    tmp_path: Path, broker: Broker, start_edge: Start
) -> None:
    edge = start_edge(broker.port)
    for number in range(50):
        edge.put(number, jpeg(number))
        edge.outbox.put(EventKind.VERDICT, VERDICT_TOPIC, verdict(number)).result(10)
    with SimCollector(tmp_path, broker.port) as collector:
        for number in range(50, 100):
            edge.put(number)
        assert collector.wait_for(100) == 100
        seqs = [event["data"]["seq"] for event in collector.history()]
        assert sorted(seqs) == [*range(1, 101, 2), *range(101, 151)]
        assert collector.wait_for(50, kind="verdict") == 50


@pytest.mark.fault(1)
def test_broker_that_starts_late_gets_everything(
    tmp_path: Path, start_edge: Start
) -> None:
    late = Broker(tmp_path, NO_DELAY)
    edge = start_edge(late.port)
    for number in range(20):
        edge.put(number)
    assert not edge.publisher.connected
    assert until(lambda: "cannot be reached" in edge.publisher.problem)
    with late, SimCollector(tmp_path, late.port) as collector:
        assert collector.wait_for(20) == 20
        assert until(lambda: edge.outbox.depth() == 0)
        assert edge.publisher.problem == ""


def test_alerts_are_kept_while_the_collector_is_away_and_delivered_after(
    tmp_path: Path, broker: Broker, start_edge: Start
) -> None:
    edge = start_edge(broker.port, collector_ack=CollectorAck.REQUIRED)
    for number in range(300):
        edge.put(number)
    assert until(lambda: edge.outbox.unsent() == 0), "the window must not block"
    assert edge.outbox.depth() == 300
    assert edge.publisher.undelivered() == 300
    with SimCollector(tmp_path, broker.port) as collector:
        edge.put(300)
        assert collector.wait_for(301, timeout_s=20) == 301
        assert until(lambda: edge.outbox.depth() == 0)
        replayed = {
            e["data"]["seq"] for e in collector.arrivals if e["data"]["replayed"]
        }
        assert replayed >= set(range(1, 301))
        assert 301 not in {
            e["data"]["seq"] for e in collector.history() if e["data"]["replayed"]
        }


def test_without_a_collector_the_confirmation_of_the_broker_is_enough(
    broker: Broker, start_edge: Start
) -> None:
    edge = start_edge(broker.port)
    edge.put(1)
    assert until(lambda: edge.outbox.unsent() == 0)
    assert edge.publisher.undelivered() == 1, "a collector may still show itself"
    assert until(lambda: edge.publisher.undelivered() == 0, limit_s=8)
    assert edge.outbox.depth() == 1, "it stays until its room is needed"


def test_collector_that_starts_later_gets_what_was_kept(
    tmp_path: Path, broker: Broker, start_edge: Start
) -> None:
    edge = start_edge(broker.port)
    for number in range(30):
        edge.put(number)
    assert until(lambda: edge.outbox.unsent() == 0)
    with SimCollector(tmp_path, broker.port) as collector:
        assert until(lambda: collector.wait_for_state(TOPICS.status) is not None)
        edge.put(30)
        assert collector.wait_for(31) == 31
        assert until(lambda: edge.outbox.depth() == 0)


def test_events_are_deleted_on_confirmation_where_that_is_configured(
    broker: Broker, start_edge: Start
) -> None:
    edge = start_edge(broker.port, collector_ack=CollectorAck.OFF)
    for number in range(100):
        edge.put(number)
    assert until(lambda: edge.outbox.depth() == 0)
    assert edge.publisher.delivered == 100


def test_states_are_retained_and_the_last_one_is_the_clean_stop(
    tmp_path: Path, broker: Broker, start_edge: Start
) -> None:
    edge = start_edge(broker.port)
    assert until(lambda: edge.publisher.connected)
    time.sleep(0.2)
    with SimCollector(tmp_path, broker.port) as collector:
        assert collector.wait_for_state(TOPICS.status)["state"] == "ready"
        edge.publisher.stop(station_status(DaemonState.DISCONNECTED), 3)
        states = collector.states[TOPICS.status]
        assert until(lambda: states[-1]["state"] == "disconnected")
        time.sleep(0.3)
        assert [each["state"] for each in states] == ["ready", "disconnected"]


def test_state_is_published_again_after_a_reconnect(
    tmp_path: Path, broker: Broker, start_edge: Start
) -> None:
    edge = start_edge(broker.port)
    assert until(lambda: edge.publisher.connected)
    broker.kill()
    for path in tmp_path.glob("mosquitto.db*"):
        path.unlink()
    broker.start()
    with SimCollector(tmp_path, broker.port) as collector:
        assert collector.wait_for_state(TOPICS.status)["state"] == "ready"


@pytest.mark.fault(4)
def test_frozen_broker_is_noticed_and_nothing_is_lost(
    tmp_path: Path, broker: Broker, start_edge: Start
) -> None:
    with SimCollector(tmp_path, broker.port) as collector:
        edge = start_edge(broker.port)
        edge.put(0)
        assert collector.wait_for(1) == 1
        broker.signal(signal.SIGSTOP)
        for number in range(1, 50):
            edge.put(number)
        assert until(lambda: not edge.publisher.connected, limit_s=8)
        broker.signal(signal.SIGCONT)
        assert collector.wait_for(50) == 50
        assert until(lambda: edge.outbox.depth() == 0)


@pytest.mark.fault(19)
def test_denied_topic_is_reported_and_its_events_are_kept(
    tmp_path: Path, start_edge: Start
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read graftline/#\ntopic write graftline/+/+/+/status\n")
    with Broker(tmp_path, f"{NO_DELAY}\nacl_file {rules}") as strict:
        edge = start_edge(strict.port, collector_ack=CollectorAck.OFF)
        edge.put(1)
        assert until(lambda: "Not authorized" in edge.publisher.problem)
        assert ALERT_TOPIC in edge.publisher.problem
        assert edge.outbox.depth() == 1


def test_wrong_password_is_reported_and_the_right_one_is_used(
    tmp_path: Path, start_edge: Start
) -> None:
    users = tmp_path / "users"
    tool = Path(MOSQUITTO or "").parent.parent / "bin" / "mosquitto_passwd"
    if not tool.is_file():
        tool = Path("mosquitto_passwd")
    subprocess.run([tool, "-c", "-b", users, "edge", "right"], check=True, timeout=10)
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    extra = f"{NO_DELAY}\nallow_anonymous false\npassword_file {users}"
    with Broker(tmp_path, extra) as strict:
        edge = start_edge(
            strict.port,
            username="edge",
            password_file=secret,
            collector_ack=CollectorAck.OFF,
        )
        edge.put(1)
        assert until(lambda: "refused" in edge.publisher.problem)
        secret.write_text("right\n")
        assert until(lambda: edge.outbox.depth() == 0)


@pytest.mark.parametrize("protocol", [ProtocolChoice.V5, ProtocolChoice.V311])
def test_both_versions_of_mqtt_deliver(
    tmp_path: Path, broker: Broker, start_edge: Start, protocol: ProtocolChoice
) -> None:
    with SimCollector(tmp_path, broker.port) as collector:
        edge = start_edge(broker.port, protocol=protocol)
        edge.put(1, jpeg(1))
        assert collector.wait_for(1) == 1
        assert until(lambda: edge.outbox.depth() == 0)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 50_000,
        b'{"stream": "other", "high_water": 1}',
        b'{"stream": "STREAM", "high_water": 99}',
        b'{"stream": "STREAM", "high_water": 1}',
        b'{"stream": "STREAM", "high_water": 0, "ranges": [[1, 1]]}',
        b'{"stream": "STREAM", "high_water": 1, "digests": [[1, ""]]}',
        b'{"stream": "STREAM", "high_water": 1, "schema_version": 2}',
        b'{"stream": "STREAM", "high_water": 1, "schema_version": "x"}',
        b'{"stream": "STREAM", "high_water": -1}',
        b"x" * 100_000,
    ],
)
def test_hostile_acknowledgement_deletes_nothing(
    broker: Broker, start_edge: Start, payload: bytes
) -> None:
    edge = start_edge(broker.port)
    edge.put(1)
    assert until(lambda: edge.outbox.unsent() == 0)
    content = payload.replace(b"STREAM", edge.outbox.stream.encode())
    publish(broker.port, TOPICS.ack, content)
    time.sleep(0.2)
    assert edge.outbox.depth() == 1
    edge.put(2)
    assert until(lambda: edge.outbox.unsent() == 0), "the connection must survive it"


def publish(port: int, topic: str, payload: bytes) -> None:
    """Publish one message and wait until the broker has it."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(topic, payload, qos=1).wait_for_publish(timeout=5)
    client.disconnect()
    client.loop_stop()


# --- chaos ---------------------------------------------------------------------------

ALERTS, GROUP = 2000, 10
DAEMON = """
import sys
from pathlib import Path
from tests.e2e.test_delivery import run_daemon
run_daemon(Path(sys.argv[1]), int(sys.argv[2]))
"""


def run_daemon(folder: Path, port: int) -> None:
    """Raise the alerts that are left, and write down which are committed."""
    edge = Edge(folder, port)
    raised = folder / "raised.jsonl"
    lines = raised.read_text().splitlines() if raised.exists() else []
    left = range(json.loads(lines[-1])["frame_id"] + 1 if lines else 0, ALERTS)
    with raised.open("a", buffering=1) as log:
        for first in left[::GROUP]:
            numbers = range(first, min(first + GROUP, ALERTS))
            futures = [put_later(edge.outbox, number) for number in numbers]
            for number, future in zip(numbers, futures, strict=True):
                seq = future.result(10)
                log.write(json.dumps({"frame_id": number, "seq": seq}) + "\n")
            time.sleep(0.01)
    until(lambda: edge.publisher.undelivered() == 0, limit_s=60)
    edge.close()


def put_later(outbox: Outbox, frame_id: int) -> "Future[int]":
    """Put an alert, every tenth with a picture."""
    image = jpeg(frame_id, 2000) if frame_id % 10 == 0 else None
    content = alert(frame_id, image)
    return outbox.put(EventKind.ALERT, ALERT_TOPIC, content, image)


def start_daemon(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    with (folder / "daemon.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", DAEMON, str(folder), str(port)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=log,
            stderr=log,
        )


@pytest.mark.fault(2, 3)
@pytest.mark.timeout(300)
def test_no_committed_alert_is_lost_when_broker_and_daemon_are_killed(
    tmp_path: Path,
) -> None:
    broker = Broker(tmp_path, NO_DELAY).start()
    with SimCollector(tmp_path, broker.port) as collector:
        daemon = start_daemon(tmp_path, broker.port)
        for kills in range(3):
            assert collector.wait_for(250 * (kills + 1), timeout_s=60)
            broker.kill()
            time.sleep(0.3)
            if kills == 1:  # the broker forgets everything, too
                for path in tmp_path.glob("mosquitto.db*"):
                    path.unlink()
            daemon.kill()
            daemon.wait(timeout=10)
            broker.start()
            daemon = start_daemon(tmp_path, broker.port)
        assert daemon.wait(timeout=200) == 0, (tmp_path / "daemon.log").read_text()
        history = collector.history()
    broker.stop()
    lines = (tmp_path / "raised.jsonl").read_text().splitlines()
    raised = [json.loads(line) for line in lines]
    ids = [event["id"] for event in history]
    assert len(ids) == len(set(ids))
    stream = {event["data"]["stream"] for event in history}
    assert len(stream) == 1, "killing a process must not begin a new stream"
    by_seq = {event["data"]["seq"]: event["data"]["frame_id"] for event in history}
    for each in raised:
        assert by_seq[each["seq"]] == each["frame_id"]
    assert [each["frame_id"] for each in raised] == list(range(ALERTS))
    positions = [each["seq"] for each in raised]
    assert positions == sorted(positions), "positions follow the order of the alerts"
