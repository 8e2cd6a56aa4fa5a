"""A configuration is put in force as a whole, or not at all."""

import os
import signal
from pathlib import Path

import pytest

from edge.config.station import load_edge_config
from edge.control.reload import Configuration, ReloadRequest
from models.errors import ConfigError

TOML = """
[station]
site = "plant"
line = "line-1"
station = "{station}"
[model]
slot = "slot"
[broker]
port = {port}
{broker}
[outbox]
path = "outbox.sqlite"
[evidence]
folder = "evidence"
[[camera]]
name = "{camera}"
source = "http://127.0.0.1:1/stream"
"""


class File:
    """The configuration file of a station, and what is in force of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "edge.toml"
        self.write()
        self.configuration = Configuration(self.path, load_edge_config(self.path))

    def write(self, **values: object) -> None:
        defaults = {"station": "eol", "port": 1883, "broker": "", "camera": "top"}
        self.path.write_text(TOML.format(**{**defaults, **values}), "utf-8")


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def test_other_camera_is_put_in_force_without_a_new_connection(file: File) -> None:
    file.write(camera="side")
    new = file.configuration.read()
    assert file.configuration.settings.camera[0].name == "top", "only read"
    assert not file.configuration.accept(new)
    assert file.configuration.settings.camera[0].name == "side"


def test_other_broker_needs_a_new_connection(file: File) -> None:
    file.write(port=1884)
    assert file.configuration.accept(file.configuration.read())


def test_other_content_of_the_password_file_needs_a_new_connection(
    file: File, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("first", "utf-8")
    password.chmod(0o600)
    login = 'username = "edge"\npassword_file = "password"'
    file.write(broker=login)
    assert file.configuration.accept(file.configuration.read())
    assert not file.configuration.accept(file.configuration.read())
    password.write_text("second", "utf-8")
    assert file.configuration.accept(file.configuration.read())


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"station": "other"}, "[station]"),
        ({"broker": "reconnect_max_s = 7"}, "broker.reconnect_max_s"),
    ],
)
def test_change_that_needs_a_restart_is_refused_and_named(
    file: File, values: dict[str, object], named: str
) -> None:
    file.write(**values)
    with pytest.raises(ConfigError) as caught:
        file.configuration.read()
    assert named in caught.value.what
    assert "Restart the daemon" in caught.value.fix


def test_credentials_that_cannot_be_read_are_refused(file: File) -> None:
    file.write(broker='username = "edge"\npassword_file = "nowhere"')
    with pytest.raises(ConfigError, match="password_file: there is no such file"):
        file.configuration.read()


def test_refused_file_is_a_fault_until_one_is_accepted(
    file: File, caplog: pytest.LogCaptureFixture
) -> None:
    file.configuration.refuse(ConfigError("edge.toml: fps = -1."))
    assert (
        file.configuration.fault == "configuration not in force: edge.toml: fps = -1."
    )
    assert "reload_refused" in caplog.text
    file.configuration.accept(file.configuration.read())
    assert file.configuration.fault == ""


def test_sighup_is_a_request_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: False)
    request = ReloadRequest()
    with request.listening():
        assert not request.take()
        signal.raise_signal(signal.SIGHUP)
        assert request.take()
        assert not request.take()


def test_sighup_of_a_closed_terminal_is_not_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: True)
    before = signal.getsignal(signal.SIGHUP)
    with ReloadRequest().listening():
        assert signal.getsignal(signal.SIGHUP) is before


@pytest.mark.fault(80)
def test_password_in_a_faulty_source_is_neither_logged_nor_in_the_reply(
    file: File, caplog: pytest.LogCaptureFixture
) -> None:
    text = file.path.read_text("utf-8")
    faulty = text.replace("http://127.0.0.1:1/stream", "rtps://admin:S3cret@cam/1")
    file.path.write_text(faulty, "utf-8")
    with pytest.raises(ConfigError) as caught:
        file.configuration.read()
    file.configuration.refuse(caught.value)
    assert "rtps://***" in str(caught.value)
    assert "S3cret" not in f"{caught.value}{file.configuration.fault}{caplog.text}"


@pytest.mark.fault(80)
def test_password_in_the_place_of_its_file_is_not_shown(file: File) -> None:
    file.write(broker='username = "u"\npassword_file = "S3cret"')
    with pytest.raises(ConfigError, match="there is no such file") as caught:
        file.configuration.read()
    assert "S3cret" not in str(caught.value)


def test_password_file_that_is_a_pipe_is_refused(file: File, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    file.write(broker='username = "u"\npassword_file = "pipe"')
    with pytest.raises(ConfigError, match="not a regular file"):
        file.configuration.read()
