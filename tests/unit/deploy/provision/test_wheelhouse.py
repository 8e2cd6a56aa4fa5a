"""Copying a wheelhouse; packing one is in tests/e2e/test_provision.py."""

from pathlib import Path

import pytest

from deploy.provision.platforms import parse_platform
from deploy.provision.wheelhouse import (
    WheelhouseManifest,
    copy_wheelhouse,
    damaged_files,
    pack_wheelhouse,
)
from models.errors import ConfigError, InstallError
from tests.simulators.wheelhouse import make_wheelhouse


def test_copy_is_whole_and_only_damaged_files_are_written_again(tmp_path: Path) -> None:
    source = make_wheelhouse(tmp_path / "source")
    target = tmp_path / "stick" / "graftline-wheelhouse"
    manifest = copy_wheelhouse(source, target)
    assert not damaged_files(target, manifest)
    (target / "install.sh").write_text("damaged")
    before = (target / "wheels" / "pip-1-py3-none-any.whl").stat().st_mtime_ns
    copy_wheelhouse(source, target)
    assert not damaged_files(target, manifest)
    assert (target / "wheels" / "pip-1-py3-none-any.whl").stat().st_mtime_ns == before


def test_damaged_source_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = make_wheelhouse(tmp_path / "source")
    (source / "wheels" / "graftline-9.9-py3-none-any.whl").unlink()
    with pytest.raises(InstallError, match="damaged") as caught:
        copy_wheelhouse(source, tmp_path / "stick")
    assert "graftline-9.9" in caught.value.why
    assert not (tmp_path / "stick").exists()


def test_link_on_the_stick_is_replaced_not_followed(tmp_path: Path) -> None:
    source, stick = make_wheelhouse(tmp_path / "source"), tmp_path / "stick"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    stick.mkdir()
    (stick / "install.sh").symlink_to(elsewhere)
    copy_wheelhouse(source, stick)
    assert elsewhere.read_text() == "mine"
    assert not (stick / "install.sh").is_symlink()


@pytest.mark.parametrize("content", ["", "{}", "[]", "not json"])
def test_folder_that_is_no_wheelhouse_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ConfigError, match="is no wheelhouse"):
        WheelhouseManifest.read(tmp_path)


def test_folder_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty, and no wheelhouse"):
        pack_wheelhouse(parse_platform("3.11,x86_64"), tmp_path)
    assert (tmp_path / "photo.png").read_text() == "mine"


def test_wheel_of_another_project_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "other-1.0-py3-none-any.whl"
    wheel.write_text("")
    with pytest.raises(ConfigError, match="is no wheel of Graftline"):
        pack_wheelhouse(parse_platform("3.11,x86_64"), tmp_path / "out", wheel)
    assert not (tmp_path / "out").exists()
