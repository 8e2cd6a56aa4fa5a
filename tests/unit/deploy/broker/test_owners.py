"""Keys and their users: what is public, and who is on this machine."""

import os
import pwd
from pathlib import Path

import pytest

from deploy.broker.owners import give_to, station_of_this_machine, unreadable

ME = pwd.getpwuid(os.geteuid()).pw_name


def test_station_is_that_of_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    assert station_of_this_machine(config) == ""
    config.write_text('[station]\nsite = "a"\nline = "b"\nstation = "c"\n')
    assert station_of_this_machine(config) == "a/b/c"
    config.write_text('[station]\nsite = "a"\n')
    assert station_of_this_machine(config) == ""
    config.write_text("no toml")
    assert station_of_this_machine(config) == ""


def test_user_that_is_not_there_is_named(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.touch()
    if os.geteuid():
        assert give_to(key, "no-such-user") == ""
    else:
        assert "there is no user no-such-user yet" in give_to(key, "no-such-user")
        assert give_to(key, "nobody") == ""
        assert key.stat().st_uid == pwd.getpwnam("nobody").pw_uid


@pytest.mark.parametrize(("mode", "is_readable"), [(0o600, True), (0o077, False)])
def test_owner_reads_a_key_by_the_rights_of_the_owner(
    tmp_path: Path, mode: int, is_readable: bool
) -> None:
    key = tmp_path / "key.pem"
    key.touch()
    key.chmod(mode)
    assert (unreadable(key, ME) == "") is is_readable


def test_key_of_another_user_is_not_readable(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.touch(mode=0o600)
    other = "nobody" if ME != "nobody" else "root"
    assert f"chown {other} {key}" in unreadable(key, other)
    assert unreadable(key, "no-such-user") == ""
