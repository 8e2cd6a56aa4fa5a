from pathlib import Path

import pytest

from dashboard.config import DashboardSettings
from dashboard.postgresql_login import PostgresqlLogin
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


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ('url = "mysql://me@db/plant"', "it starts with postgresql://"),
        ('url = "postgresql://me:hunter2@db/plant"', "stands in a file"),
        ('url = "postgresql://me@db/plant?password=hunter2"', "stands in a file"),
        ('url = "postgresql://me@db"', "name of the database is missing"),
        ('url = "somewhere"', "not postgresql://user@host:port/database"),
        ('password_file = "secret"', "password_file needs url"),
        ('url = "postgresql://me@db/plant"\nmax_mb = 5', "limit of the file"),
    ],
)
def test_address_of_a_database_that_cannot_be_used_is_refused(
    tmp_path: Path, lines: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[history]\n{lines}")
    assert reason in caught.value.why
    assert "hunter2" not in str(caught.value)


def test_password_of_the_database_is_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n", encoding="utf-8")
    lines = 'url = "postgresql://me@db:5433/plant"\npassword_file = "secret"'
    login = load(tmp_path, f"[history]\n{lines}").history.location()
    assert isinstance(login, PostgresqlLogin)
    assert login.full_url().render_as_string(hide_password=False) == (
        "postgresql+psycopg://me:hunter2@db:5433/plant"
    )
    assert "hunter2" not in repr(login.full_url())


def test_verdicts_are_kept_as_long_as_alerts_unless_it_is_set(tmp_path: Path) -> None:
    kept = load(tmp_path, "[history]\nkeep_days = 50").history.kept_days()
    assert (kept.alerts, kept.parts, kept.sums) == (50, 50, 730)
    lines = "keep_verdicts_days = 7\nkeep_sums_days = 9"
    kept = load(tmp_path, f"[history]\n{lines}").history.kept_days()
    assert (kept.alerts, kept.parts, kept.sums) == (365, 7, 9)


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
