"""What of the broker check needs no broker; the others are in e2e and fault tests."""

import socket
from pathlib import Path

import pytest

from edge.config.station import BrokerSettings
from edge.doctor.broker_check import _with_warnings, check_broker
from edge.doctor.check_result import Grade
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


def test_password_that_goes_over_the_network_without_tls_is_a_warning(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("S3cret\n")
    secret.chmod(0o600)
    settings = BrokerSettings(host="10.0.0.5", username="u", password_file=secret)
    result = _with_warnings(settings, "10.0.0.5:1883: MQTTv5")
    assert result.grade is Grade.WARN
    assert "without TLS" in result.why
    here = settings.model_copy(update={"host": "127.0.0.1"})
    assert _with_warnings(here, "here").grade is Grade.OK


def test_password_file_that_others_may_read_is_a_warning(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("S3cret\n")
    secret.chmod(0o644)
    tmp_path.chmod(0o700)
    settings = BrokerSettings(username="u", password_file=secret)
    assert _with_warnings(settings, "others cannot enter its folder").grade is Grade.OK
    tmp_path.chmod(0o755)
    result = _with_warnings(settings, "here")
    assert result.grade is Grade.WARN
    assert result.fix == f"chmod 600 {secret}"
    assert "S3cret" not in f"{result}"
