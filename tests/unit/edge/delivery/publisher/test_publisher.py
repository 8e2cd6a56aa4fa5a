"""What of the publisher needs no broker."""

from pathlib import Path

import pytest

from edge.config.station import BrokerSettings, CollectorAck
from edge.delivery.outbox.outbox import EventKind, Outbox
from edge.delivery.publisher import Publisher
from models.errors import ConfigError
from models.messages import DaemonState
from tests.simulators.alerts import ALERT_TOPIC, TOPICS, alert, station_status


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
