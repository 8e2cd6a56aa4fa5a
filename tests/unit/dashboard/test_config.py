from pathlib import Path

import pytest

from dashboard.config import DashboardSettings
from models.broker import make_tls_context, read_password
from models.config import load_config
from models.errors import ConfigError


def load(tmp_path: Path, text: str) -> DashboardSettings:
    path = tmp_path / "dashboard.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, DashboardSettings).beside(tmp_path)


def test_empty_file_means_loopback(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.server.host == "127.0.0.1"
    assert settings.server.port == 8765
    assert settings.server.is_loopback


def test_history_is_beside_the_configuration(tmp_path: Path) -> None:
    assert load(tmp_path, "").history.path == tmp_path / "history.sqlite3"
    text = '[history]\npath = "/var/lib/x.db"'
    assert load(tmp_path, text).history.path == Path("/var/lib/x.db")


def test_typo_is_an_error_with_a_guess(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "[page]\nstale_after = 3")
    assert "did you mean stale_after_s" in caught.value.why


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.2", True), ("::1", True), ("0.0.0.0", False), ("wall.plant", False)],
)
def test_addresses_that_others_reach_are_known(
    tmp_path: Path, host: str, is_loopback: bool
) -> None:
    server = load(tmp_path, f'[server]\nhost = "{host}"').server
    assert server.is_loopback == is_loopback


@pytest.mark.parametrize(
    "line",
    [
        'password_file = "p"',
        'tls_cert_file = "c"',
        'tls_cert_file = "c"\ntls_key_file = "k"',
    ],
)
def test_half_a_login_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, f"[broker]\n{line}")


def test_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\nnot this\n", encoding="utf-8")
    settings = load(tmp_path, '[broker]\nusername = "u"\npassword_file = "secret"')
    assert read_password(settings.broker) == "hunter2"


@pytest.mark.parametrize("content", [None, ""])
def test_password_file_without_a_password_is_refused(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content, encoding="utf-8")
    settings = load(tmp_path, '[broker]\nusername = "u"\npassword_file = "secret"')
    with pytest.raises(ConfigError, match="password_file"):
        read_password(settings.broker)


def test_file_that_is_not_a_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate", encoding="utf-8")
    with pytest.raises(ConfigError, match="tls_ca_file"):
        make_tls_context(load(tmp_path, '[broker]\ntls_ca_file = "ca.pem"').broker)
