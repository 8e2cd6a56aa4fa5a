"""The installer of a wheelhouse: what it refuses, before it changes anything."""

import json
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.wheelhouse import (
    make_small_wheelhouse,
    make_wheelhouse,
    seal,
)


def install(
    wheelhouse: Path, root: Path, *options: object
) -> subprocess.CompletedProcess[str]:
    # With the umask of a careful root.
    script = 'umask 077; exec sh "$0" "$@"'
    place = wheelhouse / "install.sh"
    command = ["sh", "-c", script, place, "--root", root, *options]
    python = Path(sys.executable).parent
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PATH": f"{python}:{os.environ['PATH']}"},
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"machine": "riscv64"}, "processor riscv64, this PC has"),
        ({"glibc": 99}, "glibc 2.99 or newer"),
        ({"schema_version": 2}, "Expected schema 1"),
        ({"files": {"../x": {"sha256": "a" * 64}}}, "only files of this folder"),
        ({"files": {"/etc/x": {"sha256": "a" * 64}}}, "only files of this folder"),
        ({"files": ["x"]}, "the wheelhouse is damaged"),
        ({"files": None}, "cannot be read"),
    ],
    ids=str,
)
def test_wheelhouse_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    if changes.get("files") == ["x"]:
        changes = {"files": {"x": {"sha256": "a" * 64}}}
    wheelhouse = make_wheelhouse(tmp_path / "wheelhouse", **changes)
    answer = install(wheelhouse, tmp_path / "root", "--station", "a/b/c")
    assert answer.returncode == 8
    assert reason in answer.stderr
    assert "Fix: " in answer.stderr
    assert not (tmp_path / "root").exists()


def test_other_python_is_named_with_the_command_for_it(tmp_path: Path) -> None:
    wheelhouse = make_wheelhouse(tmp_path / "wheelhouse", python="3.99")
    answer = install(wheelhouse, tmp_path / "root")
    assert answer.returncode == 8
    assert "Python 3.99, this PC has" in answer.stderr
    assert "graftline wheelhouse --for 3.1" in answer.stderr


def test_damaged_file_is_named(tmp_path: Path) -> None:
    wheelhouse = make_wheelhouse(tmp_path / "wheelhouse")
    (wheelhouse / "wheels" / "graftline-9.9-py3-none-any.whl").write_text("x")
    answer = install(wheelhouse, tmp_path / "root", "--station", "a/b/c")
    assert (answer.returncode, answer.stdout) == (8, "")
    assert "graftline-9.9" in answer.stderr


def test_new_pc_needs_the_name_of_its_station(tmp_path: Path) -> None:
    wheelhouse = make_wheelhouse(tmp_path / "wheelhouse")
    answer = install(wheelhouse, tmp_path / "root")
    assert answer.returncode == 8
    assert "--station is missing" in answer.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--station", "a/b"),
        ("--station", "a/b/C"),
        ("--station", "a/b/$(id)"),
        ("--broker", "a b"),
        ("--broker", "host:0"),
        ("--broker", 'x"\n[model]'),
        ("--user", "Root User"),
    ],
    ids=str,
)
def test_wrong_option_is_wrong_usage(tmp_path: Path, options: tuple[str, str]) -> None:
    wheelhouse = make_wheelhouse(tmp_path / "wheelhouse")
    answer = install(wheelhouse, tmp_path / "root", *options)
    assert answer.returncode == 2
    assert not (tmp_path / "root").exists()


def test_environment_that_cannot_be_made_leaves_nothing_in_force(
    tmp_path: Path,
) -> None:
    wheelhouse, root = make_wheelhouse(tmp_path / "wheelhouse"), tmp_path / "root"
    answer = install(wheelhouse, root, "--station", "a/b/c")  # its wheels are none
    assert answer.returncode == 8
    assert "what was there is in force" in answer.stderr
    assert not (root / "opt" / "graftline" / "current").is_symlink()
    assert not (root / "etc" / "graftline" / "edge.toml").exists()


def test_second_installer_at_the_same_time_is_refused(tmp_path: Path) -> None:
    import fcntl

    wheelhouse, root = make_wheelhouse(tmp_path / "wheelhouse"), tmp_path / "root"
    lock = root / "opt" / "graftline" / ".lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        answer = install(wheelhouse, root, "--station", "a/b/c")
    assert answer.returncode == 8
    assert "another installer is running" in answer.stderr


def test_manifest_is_written_as_install_sh_reads_it(tmp_path: Path) -> None:
    wheelhouse = make_wheelhouse(tmp_path / "wheelhouse")
    seal(wheelhouse)
    text = (wheelhouse / "manifest.json").read_text()
    assert f'\n  "python": "{json.loads(text)["python"]}",\n' in text


def installed(wheelhouse: Path, root: Path, *options: object) -> dict[str, Any]:
    answer = install(wheelhouse, root, "--station", "a/b/c", "--json", *options)
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout))


def in_force(root: Path) -> str:
    unit = root / "etc" / "systemd" / "system" / "graftline-edge.service"
    link = (root / "opt" / "graftline" / "current").readlink()
    assert (root / "opt" / "graftline" / link / "installed.json").is_file()
    return unit.read_text().removeprefix("ExecStart=")


def test_new_pc_gets_program_configuration_units_and_a_report_of_doctor(
    tmp_path: Path,
) -> None:
    wheelhouse, root = make_small_wheelhouse(tmp_path / "wheelhouse"), tmp_path / "root"
    report = installed(wheelhouse, root, "--broker", "10.0.0.5:1884")
    assert (report["graftline"], report["before"]) == ("1.0", "")
    assert report["is_new_config"]
    assert report["doctor"] == {"exit_code": 5, "lines": ["no model"]}
    assert in_force(root) == "1.0"
    config = tomllib.loads((root / "etc/graftline/edge.toml").read_text())
    assert config["station"] == {"site": "a", "line": "b", "station": "c"}
    assert config["broker"] == {"host": "10.0.0.5", "port": 1884}
    assert config["camera"][0]["source"] == "v4l2:/dev/video0"
    assert config["model"]["slot"] == f"{root}/var/lib/graftline/slot"
    assert (root / "etc/sysusers.d/graftline.conf").read_text() == "u graftline"
    assert stat.S_IMODE((root / "etc/graftline/edge.toml").stat().st_mode) == 0o640
    assert stat.S_IMODE((root / "var/lib/graftline").stat().st_mode) == 0o700
    programs = root / "opt/graftline/current/lib"
    assert stat.S_IMODE(programs.stat().st_mode) == 0o755


def test_same_wheelhouse_again_changes_nothing(tmp_path: Path) -> None:
    wheelhouse, root = make_small_wheelhouse(tmp_path / "wheelhouse"), tmp_path / "root"
    first = installed(wheelhouse, root)
    stamp = root / "opt/graftline/current/installed.json"
    before = stamp.stat().st_mtime_ns
    again = installed(wheelhouse, root)
    assert again["before"] == again["version"] == first["version"]
    assert not again["is_new_config"]
    assert stamp.stat().st_mtime_ns == before
    assert not (root / "opt/graftline/previous").is_symlink()


@pytest.mark.fault(75)
def test_upgrade_and_downgrade_leave_data_and_configuration_untouched(
    tmp_path: Path,
) -> None:
    old = make_small_wheelhouse(tmp_path / "old", "1.0")
    new = make_small_wheelhouse(tmp_path / "new", "1.1")
    root = tmp_path / "root"
    installed(old, root)
    data = root / "var/lib/graftline"
    kept = {
        data / "outbox.sqlite3": "alerts",
        data / "evidence/1.jpg": "picture",
        data / "slot/state.json": "state",
        root / "etc/graftline/edge.toml": "# mine",
        root / "etc/graftline/agent.toml": "# mine too",
    }
    for path, text in kept.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for wheelhouse, version in ((new, "1.1"), (old, "1.0")):
        before = in_force(root)
        report = installed(wheelhouse, root)
        assert in_force(root) == version
        assert report["before"].startswith(before)
        assert {path: path.read_text() for path in kept} == kept
    assert len(list((root / "opt/graftline/versions").iterdir())) == 2


def test_version_that_cannot_read_the_configuration_is_not_put_in_force(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    installed(make_small_wheelhouse(tmp_path / "old", "1.0"), root)
    new = make_small_wheelhouse(tmp_path / "new", "1.1", refuses="[station]")
    answer = install(new, root)
    assert answer.returncode == 8
    assert "cannot read that" in answer.stderr
    assert in_force(root) == "1.0"


@pytest.mark.fault(47)
@pytest.mark.parametrize("wait_s", [0.1, 0.4])
def test_killed_installer_leaves_the_old_version_and_can_be_repeated(
    tmp_path: Path, wait_s: float
) -> None:
    root = tmp_path / "root"
    installed(make_small_wheelhouse(tmp_path / "old", "1.0"), root)
    new = make_small_wheelhouse(tmp_path / "new", "1.1")
    command = ["sh", new / "install.sh", "--root", root]
    child = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        child.wait(wait_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(10)
    assert in_force(root) in {"1.0", "1.1"}
    installed(new, root)
    assert in_force(root) == "1.1"


def test_configuration_of_the_workstation_is_used_where_there_is_none(
    tmp_path: Path,
) -> None:
    wheelhouse, root = make_small_wheelhouse(tmp_path / "wheelhouse"), tmp_path / "root"
    mine = tmp_path / "mine.toml"
    text = '[model]\nslot = "../slot"\n'
    mine.write_text(text)
    installed(wheelhouse, root, "--config", mine)
    mine.write_text("# changed")
    installed(wheelhouse, root, "--config", mine)
    assert (root / "etc/graftline/edge.toml").read_text() == text
    agent = tomllib.loads((root / "etc/graftline/agent.toml").read_text())
    assert agent == {"slot": f"{root}/etc/graftline/../slot", "watch": ["/media"]}


def test_key_that_may_flash_is_added_once_and_restricted(tmp_path: Path) -> None:
    wheelhouse, root = make_small_wheelhouse(tmp_path / "wheelhouse"), tmp_path / "root"
    key = tmp_path / "id.pub"
    key.write_text("ssh-ed25519 AAAAC3Nz me@workstation\n")
    for _ in range(2):
        installed(wheelhouse, root, "--ssh-key", key)
    keys = root / "var/lib/graftline/.ssh/authorized_keys"
    assert keys.read_text() == "restrict ssh-ed25519 AAAAC3Nz me@workstation\n"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    key.write_text('command="sh" ssh-ed25519 AAAA\n')
    assert install(wheelhouse, root, "--ssh-key", key).returncode == 8


def test_planted_link_in_the_place_of_the_data_is_refused(tmp_path: Path) -> None:
    wheelhouse, root = make_small_wheelhouse(tmp_path / "wheelhouse"), tmp_path / "root"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (root / "var/lib").mkdir(parents=True)
    (root / "var/lib/graftline").symlink_to(elsewhere)
    answer = install(wheelhouse, root, "--station", "a/b/c")
    assert answer.returncode == 8
    assert "is a link" in answer.stderr
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o755


def test_broker_with_tls_gets_the_certificates_of_each_program(tmp_path: Path) -> None:
    wheelhouse, root = make_small_wheelhouse(tmp_path / "wheelhouse"), tmp_path / "root"
    key = root / "etc/graftline/tls/a.b.c-key.pem"
    key.parent.mkdir(parents=True)
    key.touch(0o644)
    camera = 'rtsp://me:"x"@10.0.0.17/s'
    options = ("--broker", "hall:8883", "--camera", camera, "--dashboard")
    report = installed(wheelhouse, root, *options)
    etc = root / "etc/graftline"
    assert report["new_configs"] == [f"{etc}/edge.toml", f"{etc}/dashboard.toml"]
    edge = tomllib.loads((etc / "edge.toml").read_text())
    dashboard = tomllib.loads((etc / "dashboard.toml").read_text())
    assert edge["broker"].pop("collector_ack") == "required"
    for config, stem in ((edge, "a.b.c"), (dashboard, "collector")):
        assert config["broker"] == {
            "host": "hall",
            "port": 8883,
            "tls_ca_file": f"{etc}/tls/ca.pem",
            "tls_cert_file": f"{etc}/tls/{stem}.pem",
            "tls_key_file": f"{etc}/tls/{stem}-key.pem",
        }
    assert edge["camera"][0]["source"] == camera
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(etc.stat().st_mode) == 0o755, "other users read there too"
    history = root / "var/lib/graftline-dashboard"
    assert dashboard["history"]["path"] == f"{history}/history.sqlite3"
    assert stat.S_IMODE(history.stat().st_mode) == 0o700
    assert report["units"] == ["graftline-dashboard.service", "graftline-edge.service"]
    assert (root / "etc/sysusers.d/graftline-dashboard.conf").is_file()


def test_pc_of_the_dashboard_alone_has_no_daemon_and_is_updated_without_options(
    tmp_path: Path,
) -> None:
    wheelhouse, root = make_small_wheelhouse(tmp_path / "wheelhouse"), tmp_path / "root"
    answer = install(wheelhouse, root, "--dashboard", "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["units"] == ["graftline-dashboard.service"]
    assert json.loads(answer.stdout)["doctor"] == {}
    assert not (root / "etc/graftline/edge.toml").exists()
    newer = make_small_wheelhouse(tmp_path / "newer", version="2.0")
    answer = install(newer, root)
    assert answer.returncode == 0, answer.stderr
    assert "left as it is" in answer.stderr
    unit = root / "etc/systemd/system/graftline-dashboard.service"
    assert unit.read_text() == "ExecStart=2.0"
