"""The unit that `graftline service` writes: systemd reads it, and it may do little."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.service import (
    AGENT_UNIT_NAME,
    DASHBOARD_UNIT_NAME,
    UNIT_NAME,
    ServiceFiles,
    make_dashboard_service,
    make_service,
)
from models.errors import ConfigError
from tests.command import graftline

EXPOSURE_MAX = 2.0  # of 10, as systemd-analyze counts
CONFIG = """
[model]
slot = "{data}/slot"
[outbox]
path = "{data}/outbox/outbox.sqlite"
[evidence]
folder = "{data}/evidence"
[station]
site = "this part is the daemon's business"
"""


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze (apt-get install systemd)")
    return subprocess.run(
        [program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def service(folder: Path, data: str = "/var/lib/graftline") -> ServiceFiles:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "edge.toml"
    config.write_text(CONFIG.format(data=data), encoding="utf-8")
    return make_service(config, "graftline")


def lines_of(files: ServiceFiles, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", files.unit, re.MULTILINE)


def write_dashboard_unit(folder: Path, out: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dashboard.toml"
    config.write_text('[history]\npath = "data 5%/h.sqlite3"\n', encoding="utf-8")
    return make_dashboard_service(config, "graftline-dashboard").write(out)[0]


@pytest.mark.parametrize("name", [UNIT_NAME, AGENT_UNIT_NAME, DASHBOARD_UNIT_NAME])
def test_exposure_of_the_unit_is_low(tmp_path: Path, name: str) -> None:
    service(tmp_path).write(tmp_path / "out")
    write_dashboard_unit(tmp_path, tmp_path / "out")
    unit = tmp_path / "out" / name
    answer = analyze("security", "--offline=true", "--json=short", "--no-pager", unit)
    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout)
    overall = analyze("security", "--offline=true", "--threshold=20", unit)
    assert overall.returncode == 0, overall.stdout
    found = re.search(r"Overall exposure level[^:]*: ([0-9.]+)", overall.stdout)
    assert found is not None
    assert float(found[1]) <= EXPOSURE_MAX
    refused = {row["json_field"] for row in rows if row.get("set")}
    assert "NoNewPrivileges" in refused


def test_exposure_would_be_found_where_the_unit_is_open(tmp_path: Path) -> None:
    unit, *_ = service(tmp_path).write(tmp_path)
    keys = re.compile(r"^(System|Capab|Protect).*\n", re.MULTILINE)
    unit.write_text(keys.sub("", unit.read_text("utf-8")), encoding="utf-8")
    answer = analyze("security", "--offline=true", "--threshold=20", unit)
    assert answer.returncode != 0


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    unusual = tmp_path / 'a folder, 100% "new" $HOME'
    unit, agent, _ = service(unusual, f"{tmp_path}/data 50%").write(tmp_path)
    dashboard = write_dashboard_unit(unusual, tmp_path)
    answer = analyze("verify", "--man=no", unit, agent, dashboard)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_watchdog_reload_and_stop_are_those_of_the_daemon(tmp_path: Path) -> None:
    files = service(tmp_path)
    assert lines_of(files, "Type") == ["notify"]
    assert lines_of(files, "WatchdogSec") == ["20"]
    assert lines_of(files, "Restart") == ["always"]
    assert lines_of(files, "KillSignal") == ["SIGTERM"]
    assert lines_of(files, "TimeoutStopSec") == ["15"]
    assert lines_of(files, "ExecReload") == ["/bin/kill -HUP $MAINPID"]
    (command,) = lines_of(files, "ExecStart")
    assert command.endswith(f"-P -m graftline run --config {tmp_path}/edge.toml")


def test_only_folders_outside_of_its_own_are_opened_for_writing(tmp_path: Path) -> None:
    assert not lines_of(service(tmp_path), "ReadWritePaths")
    assert lines_of(service(tmp_path, "/srv/line 1"), "ReadWritePaths") == [
        '"-/srv/line 1/evidence"',
        '"-/srv/line 1/outbox"',
        '"-/srv/line 1/slot"',
    ]


def test_relative_folders_start_at_the_configuration(tmp_path: Path) -> None:
    paths = lines_of(service(tmp_path, "data"), "ReadWritePaths")
    assert f"-{tmp_path}/data/slot" in paths


def test_data_in_a_home_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/home/me/slot"):
        service(tmp_path, "/home/me")


@pytest.mark.parametrize("user", ["", "Line 1", "a\nExecStart=/bin/sh", "-x"])
def test_user_that_is_no_name_is_refused(tmp_path: Path, user: str) -> None:
    service(tmp_path)
    with pytest.raises(ConfigError, match="not the name of a system user"):
        make_service(tmp_path / "edge.toml", user)


def test_path_with_a_line_break_cannot_add_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written into a unit file"):
        service(tmp_path / "x\nExecStartPre=")


def test_command_writes_both_files_and_prints_the_next_steps(tmp_path: Path) -> None:
    service(tmp_path)
    arguments = ("service", "--config", "edge.toml", "--out", "out")
    answer = graftline(*arguments, cwd=tmp_path)
    assert answer.code == 0, answer.errors
    enable = "systemctl enable --now graftline-edge.service graftline-agent.service"
    assert enable in answer.output
    written = (tmp_path / "out" / "graftline-edge.service").read_text("utf-8")
    assert (tmp_path / "out" / "graftline-sysusers.conf").exists()
    agent = (tmp_path / "out" / "graftline-agent.service").read_text("utf-8")
    shown = graftline(*arguments[:3], "--dry-run", cwd=tmp_path)
    assert shown.output == f"{written}\n{agent}"
    assert graftline(*arguments[:3], cwd=tmp_path).code == ConfigError.exit_code


def test_memory_is_limited_and_is_never_dumped(tmp_path: Path) -> None:
    files = service(tmp_path)
    assert lines_of(files, "MemoryMax") == ["85%"]
    assert lines_of(files, "LimitCORE") == ["0"]
    assert lines_of(files, "TasksMax") == ["1024"]
