"""The installer of a wheelhouse: what it refuses, before it changes anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulators.wheelhouse import make_wheelhouse, seal


def install(
    wheelhouse: Path, root: Path, *options: object
) -> subprocess.CompletedProcess[str]:
    command = ["sh", wheelhouse / "install.sh", "--root", root, *options]
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
