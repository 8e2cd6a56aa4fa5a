"""Another client of a broker without an access list forges events and answers."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.delivery.outbox.outbox import EventKind
from models.messages import Acknowledgement
from tests.simulators.alerts import ALERT_TOPIC, TOPICS, alert
from tests.simulators.broker import MOSQUITTO, Broker
from tests.simulators.collector import SimCollector
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.edge import SimEdge
from tests.simulators.station import SimStation, alert_event
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto"),
]
EVENTS = 8


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


@pytest.fixture
def attacker(broker: Broker) -> Iterator[SimStation]:
    with SimStation(broker.port, "attacker") as client:
        yield client


@pytest.fixture
def dashboard(tmp_path: Path, broker: Broker) -> Iterator[DashboardProcess]:
    with DashboardProcess(tmp_path, broker.port) as process:
        yield process.wait_connected()


def forge_alerts(attacker: SimStation, stream: str, seqs: range) -> None:
    """Publish alerts under the name of a station that sends other ones."""
    for seq in seqs:
        event = alert_event(TOPICS, seq, stream=stream)
        attacker.publish(ALERT_TOPIC, event.model_dump_json())


def conflicts(folder: Path) -> list[int]:
    """Return the frames of the alerts that were kept beside."""
    with sqlite3.connect(folder / "history.sqlite3") as db:
        rows = db.execute("SELECT event FROM conflicts ORDER BY id").fetchall()
    db.close()
    return [json.loads(text)["data"]["frame_id"] for (text,) in rows]


@pytest.mark.fault(79)
@pytest.mark.parametrize("rule", ["required", "auto"])
def test_forged_acknowledgement_deletes_nothing_and_is_an_alarm(
    tmp_path: Path, broker: Broker, attacker: SimStation, rule: str
) -> None:
    with SimEdge(tmp_path, broker.port, collector_ack=rule) as edge:
        edge.put_all(range(EVENTS))
        until(lambda: edge.outbox.unsent() == 0, "the broker has all")
        forged = [
            Acknowledgement(stream=edge.outbox.stream, high_water=EVENTS),
            Acknowledgement(
                stream=edge.outbox.stream,
                high_water=EVENTS,
                ranges=((1, EVENTS),),
                digests=tuple((seq, "0" * 32) for seq in range(1, EVENTS + 1)),
            ),
        ]
        for message in forged:
            attacker.publish(TOPICS.ack, message.model_dump_json())
        until(lambda: edge.publisher.alarm.count("Fix: ") == 2, "both are named")
        edge.put(99)
        assert edge.outbox.depth() == EVENTS + 1
        assert not edge.outbox.collector_known
        assert edge.publisher.refused_acknowledgements == 2
        with SimCollector(tmp_path, broker.port) as collector:
            # An event that the broker takes before is not repeated with "auto".
            until(lambda: collector.states, "the collector has subscribed")
            edge.put(100)
            assert collector.wait_for(EVENTS + 2, 60) == EVENTS + 2
            until(lambda: edge.outbox.depth() == 0, "the real one is believed")


@pytest.mark.fault(79)
def test_real_alert_after_a_forged_one_is_kept_beside_and_not_acknowledged(
    tmp_path: Path, broker: Broker, attacker: SimStation, dashboard: DashboardProcess
) -> None:
    with SimEdge(tmp_path, broker.port, collector_ack="required") as edge:
        edge.put(0)
        until(lambda: edge.outbox.depth() == 0, "the first one is delivered")
        forge_alerts(attacker, edge.outbox.stream, range(3, 6))
        until(lambda: len(dashboard.get("/api/alerts")["alerts"]) == 4, "forged")
        edge.put_all(range(100, 100 + EVENTS))  # 3 of them have forged ids
        until(lambda: edge.outbox.depth() == 3, "the others are delivered")
        until(lambda: dashboard.get("/api/summary")["rejected"]["conflict"] >= 3)
        assert "contradicts the history" in dashboard.get("/healthz")["alarm"]
        assert conflicts(tmp_path) == [101, 102, 103]
        assert "events that this station never sent" in edge.publisher.alarm
        edge.put(200)
        until(lambda: edge.outbox.depth() == 3, "later ones are delivered too")


@pytest.mark.fault(79)
def test_forged_positions_ahead_hold_up_no_acknowledgement(
    tmp_path: Path, broker: Broker, attacker: SimStation, dashboard: DashboardProcess
) -> None:
    with SimEdge(tmp_path, broker.port, collector_ack="required") as edge:
        edge.put(0)
        until(lambda: edge.outbox.depth() == 0, "the first one is delivered")
        forge_alerts(attacker, edge.outbox.stream, range(300, 303))
        forge_alerts(attacker, edge.outbox.stream, range(10**9, 10**9 + 2))
        until(lambda: dashboard.get("/api/summary")["rejected"].get("far_ahead") == 2)
        for number in range(EVENTS):
            edge.put(number)
        until(lambda: edge.outbox.depth() == 0, "the real ones are delivered")
        assert "events that this station never sent" in edge.publisher.alarm


@pytest.mark.fault(75)
def test_collector_of_version_0_1_is_named_and_nothing_is_deleted(
    tmp_path: Path, broker: Broker, attacker: SimStation
) -> None:
    with SimEdge(tmp_path, broker.port, collector_ack="required") as edge:
        edge.put_all(range(EVENTS))
        until(lambda: edge.outbox.unsent() == 0, "the broker has all")
        old = {"schema_version": 1, "stream": edge.outbox.stream, "high_water": EVENTS}
        attacker.publish(TOPICS.ack, json.dumps({**old, "ranges": []}))
        until(lambda: "a dashboard of version 0.1" in edge.publisher.alarm, "alarm")
        assert edge.outbox.depth() == EVENTS


@pytest.mark.fault(8)
def test_daemon_that_restarts_before_the_acknowledgement_delivers_once(
    tmp_path: Path, broker: Broker
) -> None:
    with SimCollector(tmp_path, broker.port) as collector:
        collector.acknowledges = False
        with SimEdge(tmp_path, broker.port, collector_ack="required") as edge:
            edge.put_all(range(40))
            until(lambda: len(collector.arrivals) >= 40, "all are sent")
        with SimEdge(tmp_path, broker.port, collector_ack="required") as edge:
            collector.acknowledges = True
            until(lambda: edge.outbox.depth() == 0, "all are acknowledged")
            assert edge.publisher.alarm == ""
        assert sorted(data["frame_id"] for data in collector.data()) == list(range(40))


@pytest.mark.fault(79)
def test_backlog_is_delivered_and_no_acknowledgement_is_taken_for_a_flood(
    tmp_path: Path, broker: Broker, dashboard: DashboardProcess
) -> None:
    with SimEdge(tmp_path, broker.port, collector_ack="required") as edge:
        started = datetime.now(UTC)
        content = alert(1)
        for _ in range(5000):
            edge.outbox.put(EventKind.ALERT, ALERT_TOPIC, content)
        until(lambda: edge.outbox.depth() == 0, "the backlog is delivered", 90)
        assert (datetime.now(UTC) - started).total_seconds() < 60
        assert edge.publisher.alarm == ""
    assert dashboard.get("/api/summary")["rejected"] == {}
