from pathlib import Path

import pytest

from deploy.target import (
    DEFAULT_SLOT,
    FlashTarget,
    SshTarget,
    UsbTarget,
    parse_target,
)
from models.errors import ConfigError


def ssh(text: str) -> SshTarget:
    target = parse_target(text)
    assert isinstance(target, SshTarget)
    return target


def slot(text: str) -> Path:
    target = parse_target(text)
    assert isinstance(target, FlashTarget)
    assert target.name == text
    return target.slot.root


@pytest.mark.parametrize("text", ["local:/srv/line 1", "/srv/line 1"])
def test_folder_of_this_machine_is_a_target(text: str) -> None:
    assert slot(text) == Path("/srv/line 1")


def test_relative_folder_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert slot("local:line-pc") == tmp_path / "line-pc"


def test_folder_with_a_colon_is_given_with_local() -> None:
    assert slot("local:/srv/a:b") == Path("/srv/a:b")
    assert slot("/srv/a:b") == Path("/srv/a:b")


def test_stick_is_a_target() -> None:
    target = parse_target("usb:/media/stick")
    assert target == UsbTarget("usb:/media/stick", Path("/media/stick"))


@pytest.mark.parametrize(
    ("text", "user", "host", "port", "folder"),
    [
        ("ssh://line-3", "", "line-3", None, DEFAULT_SLOT),
        ("ssh://line-3/", "", "line-3", None, DEFAULT_SLOT),
        ("ssh://pc@10.0.0.7:2222/srv/slot/", "pc", "10.0.0.7", 2222, "/srv/slot"),
        ("ssh://[fe80::1%eth0]:22/~/slot", "", "fe80::1%eth0", 22, "slot"),
        ('ssh://a@b/srv/it\'s "a" $slot', "a", "b", None, '/srv/it\'s "a" $slot'),
    ],
)
def test_line_pc_behind_ssh_is_a_target(
    text: str, user: str, host: str, port: int | None, folder: str
) -> None:
    assert ssh(text) == SshTarget(text, user, host, port, folder)


@pytest.mark.parametrize(
    "text",
    [
        "ssh://",
        "ssh:line-3",
        "ssh://-oProxyCommand=touch me",
        "ssh://-l@host",
        "ssh://user:secret@host",
        "ssh://host:0",
        "ssh://host:70000",
        "ssh://host/slot\nput x",
        "ssh://ho st",
        "ssh://host;reboot",
        "ssh://$(reboot)",
    ],
)
def test_address_that_is_not_well_formed_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not well formed"):
        parse_target(text)


@pytest.mark.parametrize("text", ["", " ", "local:", "local: ", "usb:", "a\0b"])
def test_target_without_a_folder_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="names no folder"):
        parse_target(text)


def test_unknown_kind_of_target_is_refused_with_a_fix() -> None:
    with pytest.raises(ConfigError, match="no kind of target 'ftp'") as caught:
        parse_target("ftp://line")
    assert "local:ftp://line" in caught.value.fix
