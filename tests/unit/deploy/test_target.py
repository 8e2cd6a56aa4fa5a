from pathlib import Path

import pytest

from deploy.target import parse_target
from models.errors import ConfigError


@pytest.mark.parametrize("text", ["local:/srv/line 1", "/srv/line 1"])
def test_folder_of_this_machine_is_a_target(text: str) -> None:
    target = parse_target(text)
    assert target.slot.root == Path("/srv/line 1")
    assert target.name == text


def test_relative_folder_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_target("local:line-pc").slot.root == tmp_path / "line-pc"


def test_folder_with_a_colon_is_given_with_local() -> None:
    assert parse_target("local:/srv/a:b").slot.root == Path("/srv/a:b")
    assert parse_target("/srv/a:b").slot.root == Path("/srv/a:b")


@pytest.mark.parametrize("text", ["ssh://line-3", "usb:/media/stick"])
def test_target_of_a_later_version_is_named_as_such(text: str) -> None:
    with pytest.raises(ConfigError, match="not in this version") as caught:
        parse_target(text)
    assert "local:DIR" in caught.value.fix


@pytest.mark.parametrize("text", ["", " ", "local:", "local: ", "a\0b"])
def test_target_without_a_folder_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="names no folder"):
        parse_target(text)


def test_unknown_kind_of_target_is_refused_with_a_fix() -> None:
    with pytest.raises(ConfigError, match="no kind of target 'ftp'") as caught:
        parse_target("ftp://line")
    assert "local:ftp://line" in caught.value.fix
