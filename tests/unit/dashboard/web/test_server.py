"""The socket of the page."""

import socket

import pytest

from dashboard.config import ServerSettings
from dashboard.web.server import open_socket
from models.errors import ConfigError


def test_address_of_another_machine_is_a_clear_error() -> None:
    settings = ServerSettings(host="192.0.2.1", port=8765)  # RFC 5737: never ours
    with pytest.raises(ConfigError, match="cannot listen there") as caught:
        open_socket(settings)
    assert "address of this machine" in caught.value.fix


def test_port_in_use_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port = {port}") as caught:
            open_socket(ServerSettings(port=port))
    assert caught.value.why == "Another program uses this port."
