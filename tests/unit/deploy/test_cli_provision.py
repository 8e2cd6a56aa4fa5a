"""Arguments, output and exit codes of ``wheelhouse`` and ``provision``."""

import argparse
import json
import platform
import sys
from pathlib import Path

import pytest

from deploy.cli_provision import (
    add_provision_arguments,
    add_wheelhouse_arguments,
    run_provision,
    run_wheelhouse,
)
from models.errors import ConfigError
from tests.simulators.wheelhouse import make_small_wheelhouse, make_wheelhouse


def provision(*typed: object) -> int:
    parser = argparse.ArgumentParser()
    add_provision_arguments(parser)
    return run_provision(parser.parse_args(list(map(str, typed))))


def test_wheelhouse_is_for_this_machine_unless_another_is_named() -> None:
    parser = argparse.ArgumentParser()
    add_wheelhouse_arguments(parser)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert parser.parse_args([]).platform == f"{version},{platform.machine()}"
    with pytest.raises(ConfigError, match="no platform of a line PC"):
        run_wheelhouse(parser.parse_args(["--for", "3.11,toaster"]))


def test_stick_is_written_and_the_next_command_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheelhouse = make_wheelhouse(tmp_path / "wheelhouse")
    words = ("--wheelhouse", wheelhouse, "--station", "a/b/c")
    words += ("--camera", "rtsp://me:a&b@10.0.0.17/s", "--dashboard")
    assert provision(f"usb:{tmp_path / 'stick'}", *words) == 0
    command = "sudo sh graftline-wheelhouse/install.sh --station a/b/c"
    options = "--camera 'rtsp://me:a&b@10.0.0.17/s' --dashboard"
    assert f"{command} {options}\n" in capsys.readouterr().out


def test_folder_is_set_up_and_the_report_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheelhouse, root = make_small_wheelhouse(tmp_path / "wheelhouse"), tmp_path / "root"
    words = (f"local:{root}", "--wheelhouse", wheelhouse, "--station", "a/b/c")
    assert provision(*words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"set up: local:{root} has Graftline 1.0-")
    assert "now set the cameras in it" in printed
    assert "doctor: exit code 5\n  no model\n" in printed
    assert provision(*words, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["before"] == report["version"]
