"""What of the broker check needs no broker; the others are in e2e and fault tests."""

import socket
from pathlib import Path

import pytest

from edge.config.station import BrokerSettings
from edge.doctor.broker_check import check_broker
from models.errors import DeliveryError
from tests.simulators.alerts import TOPICS


def test_closed_port_fails_before_mqtt_and_names_the_broker() -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        settings = BrokerSettings(host="127.0.0.1", port=port)
        with pytest.raises(DeliveryError) as caught:
            check_broker(settings, TOPICS, limit_s=1)
    assert f"127.0.0.1:{port}" in caught.value.what
    assert caught.value.why == "The connection failed before MQTT."
    assert "[broker] host, port" in caught.value.fix


def test_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    settings = BrokerSettings(host="127.0.0.1", tls_ca_file=file)
    with pytest.raises(DeliveryError) as caught:
        check_broker(settings, TOPICS, limit_s=1)
    assert f"tls_ca_file = {file} cannot be used" in caught.value.what
