"""What of the probe needs no broker; its answers are tested against mosquitto."""

import socket
from pathlib import Path

import pytest

from edge.config.station import BrokerSettings, ProtocolChoice
from edge.delivery.publisher.probe import probe_broker
from models.errors import ConfigError
from tests.simulators.alerts import TOPICS


def test_password_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    settings = BrokerSettings(username="line", password_file=tmp_path / "missing")
    with pytest.raises(ConfigError, match="password_file: there is no such file"):
        probe_broker(settings, TOPICS, limit_s=1)


@pytest.mark.parametrize("protocol", ProtocolChoice)
def test_closed_port_is_a_problem_and_no_protocol(protocol: ProtocolChoice) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        settings = BrokerSettings(host="127.0.0.1", port=port, protocol=protocol)
        answer = probe_broker(settings, TOPICS, limit_s=1)
    assert answer.protocol == ""
    assert "cannot be reached" in answer.problem
