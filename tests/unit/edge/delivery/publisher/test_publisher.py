"""What of the publisher needs no broker."""

import socket
from pathlib import Path

import pytest

from edge.config.station import BrokerSettings, CollectorAck
from edge.delivery.outbox.outbox import EventKind, Outbox
from edge.delivery.publisher import Publisher
from edge.delivery.publisher import publisher as publisher_module
from models.errors import ConfigError
from models.messages import DaemonState
from tests.simulators.alerts import ALERT_TOPIC, TOPICS, alert, station_status
from tests.waiting import until


def publisher_of(outbox: Outbox, **broker: object) -> Publisher:
    settings = BrokerSettings.model_validate(broker)
    return Publisher(settings, outbox, TOPICS, station_status(DaemonState.LOST))


def test_publisher_that_was_never_started_stops_at_once(outbox: Outbox) -> None:
    publisher = publisher_of(outbox)
    publisher.publish_state(TOPICS.status, station_status())
    publisher.stop(station_status(DaemonState.DISCONNECTED), 5)
    assert not publisher.connected
    assert publisher.connects == publisher.in_flight == 0


def test_password_that_cannot_be_read_stops_the_start(
    outbox: Outbox, tmp_path: Path
) -> None:
    secret = tmp_path / "absent"
    publisher = publisher_of(outbox, username="edge", password_file=secret)
    with pytest.raises(ConfigError, match="password_file"):
        publisher.start()
    publisher.stop(station_status(), 1)


def test_event_is_undelivered_before_there_is_a_connection(outbox: Outbox) -> None:
    publisher = publisher_of(outbox, collector_ack=CollectorAck.REQUIRED)
    outbox.put(EventKind.ALERT, ALERT_TOPIC, alert(1)).result(10)
    assert publisher.undelivered() == 1
    assert publisher.delivered == 0
    assert publisher.problem == publisher.alarm == ""
    publisher.stop(station_status(), 1)


@pytest.mark.fault(90)
def test_broker_that_cannot_be_reached_for_a_minute_is_an_alarm(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        publisher = publisher_of(outbox, host="127.0.0.1", port=port)
        publisher.start()
        assert publisher.alarm == "", "it may start right now"
        monkeypatch.setattr(publisher_module, "DOWN_ALARM_S", 0.0)
        assert until(lambda: "Connection refused" in publisher.alarm)
        assert f"broker 127.0.0.1:{port} cannot be reached" in publisher.alarm
        publisher.stop(station_status(), 1)
