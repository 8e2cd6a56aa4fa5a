"""The files of the systemd service, without systemd."""

import re
from pathlib import Path

import pytest

from deploy.service import SYSUSERS_NAME, UNIT_NAME, make_service
from models.errors import ConfigError

CONFIG = """
[model]
slot = "{data}/slot"
[outbox]
path = "{data}/outbox.sqlite"
[evidence]
folder = "{data}/evidence"
"""


def config_in(folder: Path, data: str = "/var/lib/graftline") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "edge.toml"
    path.write_text(CONFIG.format(data=data), encoding="utf-8")
    return path


def test_both_files_name_the_user(tmp_path: Path) -> None:
    files = make_service(config_in(tmp_path), "line-user")
    assert "User=line-user" in files.unit
    assert "line-user" in files.sysusers


def test_files_are_written_into_a_new_folder(tmp_path: Path) -> None:
    files = make_service(config_in(tmp_path), "graftline")
    unit, sysusers = files.write(tmp_path / "new" / "out")
    assert (unit.name, sysusers.name) == (UNIT_NAME, SYSUSERS_NAME)
    assert unit.read_text("utf-8") == files.unit
    assert sysusers.read_text("utf-8") == files.sysusers


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    files = make_service(config_in(tmp_path), "graftline")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        files.write(tmp_path / "file")


def test_percent_and_dollar_of_a_path_are_escaped(tmp_path: Path) -> None:
    config = config_in(tmp_path / "100% $HOME")
    unit = make_service(config, "graftline").unit
    (command,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert command.endswith('100%% $$HOME/edge.toml"')


def test_state_folder_needs_no_further_right(tmp_path: Path) -> None:
    inside = make_service(config_in(tmp_path), "graftline").unit
    outside = make_service(config_in(tmp_path, "/srv/line"), "graftline").unit
    assert "ReadWritePaths=" not in inside
    assert "ReadWritePaths=-/srv/line/slot" in outside


def test_configuration_without_a_slot_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text('[outbox]\npath = "x"\n', encoding="utf-8")
    with pytest.raises(ConfigError):
        make_service(path, "graftline")
