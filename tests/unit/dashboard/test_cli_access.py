"""The verbs ``dashboard-user`` and ``verify-audit`` as they are typed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from graftline import main
from models.errors import ExitCode

PASSWORD = "four random words here"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "dashboard.toml"
    path.write_text("")
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    password.chmod(0o600)
    return path


def typed(config: Path, *words: str) -> int:
    return main([*words, "--config", str(config)])


def add(config: Path, name: str, role: str) -> int:
    password = str(config.parent / "password")
    words = ("dashboard-user", "add", name, "--role", role)
    return typed(config, *words, "--password-file", password)


def test_users_are_added_listed_and_removed(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(config, "Ann", "admin") == 0
    assert add(config, "bob", "viewer") == 0
    assert typed(config, "dashboard-user", "list") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["added: ann, admin", "added: bob, viewer"]
    assert [line.split()[:2] for line in printed[2:]] == [
        ["ann", "admin"],
        ["bob", "viewer"],
    ]
    assert typed(config, "dashboard-user", "remove", "bob") == 0
    assert typed(config, "dashboard-user", "remove", "bob") == 3
    assert typed(config, "dashboard-user", "remove", "ann") == 0
    assert typed(config, "dashboard-user", "list") == 0
    assert "no users" in capsys.readouterr().out


def test_password_is_asked_for_twice(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    answers = iter([PASSWORD, PASSWORD, PASSWORD, "another", PASSWORD, PASSWORD])
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    words = ("dashboard-user", "add", "ann", "--role", "admin")
    assert typed(config, *words) == 0
    assert typed(config, "dashboard-user", "password", "ann") == 3
    assert "differ" in capsys.readouterr().err
    assert typed(config, "dashboard-user", "password", "ann") == 0
    assert PASSWORD not in capsys.readouterr().out


def test_without_a_terminal_a_file_is_needed(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("dashboard-user", "add", "ann", "--role", "admin")
    assert typed(config, *words) == 3
    assert "--password-file FILE" in capsys.readouterr().err


def test_weak_password_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "password").write_text("short\n")
    assert add(config, "ann", "admin") == 3
    error = capsys.readouterr().err
    assert "10 to 256 characters" in error
    assert "short" not in error


def test_password_that_others_may_read_is_a_warning(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The folders of the tests are closed to others, which counts too.
    monkeypatch.setattr("dashboard.cli_access.is_open_to_others", lambda _: True)
    assert add(config, "ann", "admin") == 0
    assert "chmod 600" in capsys.readouterr().err


def test_other_configuration_makes_no_new_history(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("dashboard-user", "list"), ("verify-audit",)):
        assert typed(config, *words) == 3
        assert "there is no history" in capsys.readouterr().err
    assert not (config.parent / "history.sqlite3").exists()


def test_audit_trail_is_verified_and_its_head_kept(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = config.parent / "heads"
    add(config, "ann", "admin")
    assert typed(config, "verify-audit", "--head", str(heads)) == 0
    printed = capsys.readouterr().out
    assert "audit trail: 1 entry, unbroken" in printed
    assert f"head: {heads.read_text().strip()}" in printed
    with sqlite3.connect(config.parent / "history.sqlite3") as history:
        history.execute("DELETE FROM audit")
    assert typed(config, "verify-audit") == ExitCode.OK
    assert typed(config, "verify-audit", "--head", str(heads)) == 10
    error = capsys.readouterr().err
    assert "broken at entry 1" in error
    assert "an earlier head is entry 1" in error
    assert len(heads.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "words", [("dashboard-user", "list"), ("verify-audit",)], ids=lambda each: each[0]
)
def test_history_of_an_older_version_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert add(config, "ann", "admin") == 0
    with closing(sqlite3.connect(config.parent / "history.sqlite3")) as history:
        history.execute("PRAGMA user_version = 2")
    assert typed(config, *words) == 3
    assert "Start the dashboard of this version once first." in capsys.readouterr().err
