"""The files of the systemd service, without systemd."""

import re
from pathlib import Path

import pytest

from deploy.service import (
    AGENT_UNIT_NAME,
    SYSUSERS_NAME,
    UNIT_NAME,
    make_dashboard_service,
    make_service,
)
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


def agent_config(folder: Path, slot: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(f'slot = "{slot}"\nwatch = ["/media/stick"]\n', encoding="utf-8")
    return path


def test_agent_takes_what_comes_into_the_slot_of_the_daemon(tmp_path: Path) -> None:
    agent = make_service(config_in(tmp_path, "/srv/line"), "graftline").agent
    assert "-P -m graftline agent --slot /srv/line/slot\n" in agent
    assert "ReadWritePaths=-/srv/line/slot\n" in agent


def test_agent_with_a_configuration_may_write_onto_sticks(tmp_path: Path) -> None:
    config = config_in(tmp_path, "/srv/line")
    file = agent_config(tmp_path, "/srv/line/slot")
    agent = make_service(config, "graftline", file).agent
    assert f"graftline agent --config {file}\n" in agent
    assert "ReadWritePaths=-/media/stick\n" in agent


def test_agent_of_another_slot_is_refused(tmp_path: Path) -> None:
    config = config_in(tmp_path, "/srv/line")
    with pytest.raises(ConfigError, match="the daemon runs /srv/line/slot"):
        make_service(config, "graftline", agent_config(tmp_path, "/srv/other"))


def test_all_files_name_the_user(tmp_path: Path) -> None:
    files = make_service(config_in(tmp_path), "line-user")
    assert "User=line-user" in files.agent
    assert "User=line-user" in files.unit
    assert "line-user" in files.sysusers


def test_files_are_written_into_a_new_folder(tmp_path: Path) -> None:
    files = make_service(config_in(tmp_path), "graftline")
    unit, agent, sysusers = files.write(tmp_path / "new" / "out")
    names = (unit.name, agent.name, sysusers.name)
    assert names == (UNIT_NAME, AGENT_UNIT_NAME, SYSUSERS_NAME)
    assert agent.read_text("utf-8") == files.agent
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


def dashboard_unit(folder: Path, text: str) -> str:
    config = folder / "dashboard.toml"
    config.write_text(text, encoding="utf-8")
    return make_dashboard_service(config, "wall").unit


def test_dashboard_may_write_its_history_only(tmp_path: Path) -> None:
    assert f"ReadWritePaths=-{tmp_path}\n" in dashboard_unit(tmp_path, "")
    own = '[history]\npath = "/var/lib/graftline-dashboard/history.sqlite3"'
    assert "ReadWritePaths" not in dashboard_unit(tmp_path, own)
    server = '[history]\nurl = "postgresql://wall@db/wall"'
    assert "ReadWritePaths" not in dashboard_unit(tmp_path, server)


def test_dashboard_is_started_until_its_database_is_there(tmp_path: Path) -> None:
    lines = dashboard_unit(tmp_path, "").splitlines()
    assert "Restart=always" in lines
    assert "StartLimitIntervalSec=0" in lines, "systemd would give up after ten starts"
    assert not any(line.startswith("RestartPreventExitStatus") for line in lines)


def test_low_port_needs_a_capability(tmp_path: Path) -> None:
    assert "CapabilityBoundingSet=\n" in dashboard_unit(tmp_path, "")
    unit = dashboard_unit(tmp_path, "[server]\nport = 443")
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in unit
    assert "PrivateUsers=no\n" in unit


def test_receivers_of_notifications_may_be_outside_of_the_plant(tmp_path: Path) -> None:
    assert "IPAddressAllow=10.0.0.0/8\n" in dashboard_unit(tmp_path, "")
    unit = dashboard_unit(tmp_path, '[[notify]]\nname = "shift"')
    assert "IPAddressAllow=any\n" in unit


@pytest.mark.parametrize(
    "text",
    ['[history]\npath = "/home/me/h.db"', '[server]\ntls_key = "/root/key.pem"'],
)
def test_dashboard_in_a_home_folder_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="cannot use"):
        dashboard_unit(tmp_path, text)
