"""The socket of the page."""

import socket
from pathlib import Path

import pytest

from dashboard.config import ServerSettings
from dashboard.web.server import make_server_tls, open_socket
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


def test_certificate_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "dashboard.pem"
    file.write_text("no certificate")
    settings = ServerSettings(tls_certificate=file, tls_key=file)
    with pytest.raises(ConfigError, match="tls_certificate") as caught:
        make_server_tls(settings)
    assert "without a password" in caught.value.fix


def test_page_without_a_certificate_has_no_tls() -> None:
    assert make_server_tls(ServerSettings()) is None


@pytest.mark.parametrize("field", ["tls_certificate", "tls_key"])
def test_half_of_tls_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="go together"):
        ServerSettings.model_validate({field: "file.pem"})
