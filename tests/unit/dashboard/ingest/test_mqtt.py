"""What of the collector needs no broker."""

from pathlib import Path

import pytest

from dashboard.config import CollectorBrokerSettings
from dashboard.ingest.mqtt import Collector
from dashboard.ingest.writer import AckRequest
from models.errors import ConfigError


def test_password_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    settings = CollectorBrokerSettings(
        username="dashboard", password_file=tmp_path / "absent"
    )
    with pytest.raises(ConfigError, match="password_file"):
        Collector(settings, "id", is_first=True, enqueue=lambda _: True)


def test_collector_is_down_until_it_is_subscribed() -> None:
    settings = CollectorBrokerSettings(port=1)
    collector = Collector(settings, "id", is_first=True, enqueue=lambda _: True)
    assert not collector.status.is_up
    assert collector.status.address == "127.0.0.1:1"
    assert collector.status.reason == "connecting"
    assert collector.connections == 0
    collector.stop()


def test_collector_without_a_broker_stops_at_once() -> None:
    settings = CollectorBrokerSettings(port=1)  # of no broker on any machine
    collector = Collector(settings, "id", is_first=True, enqueue=lambda _: True)
    changes: list[str] = []
    collector.start(on_change=lambda: changes.append(collector.status.reason))
    collector.acknowledge(AckRequest([], []))
    collector.stop()
    assert all("cannot be reached" in reason for reason in changes)
