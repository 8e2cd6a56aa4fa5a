"""``graftline service``: what is printed and what is written."""

import argparse
from pathlib import Path

import pytest

from deploy.cli_service import add_service_arguments, run_service
from models.errors import ConfigError

CONFIG = """
[model]
slot = "/var/lib/graftline/slot"
[outbox]
path = "/var/lib/graftline/outbox.sqlite"
[evidence]
folder = "/var/lib/graftline/evidence"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def arguments(*typed: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_service_arguments(parser)
    return parser.parse_args(list(map(str, typed)))


def test_user_has_a_default(config: Path) -> None:
    assert arguments("--config", config).user == "graftline"


def test_dry_run_prints_the_unit_and_writes_nothing(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = arguments("--config", config, "--out", tmp_path / "out", "--dry-run")
    assert run_service(args) == 0
    assert "[Service]" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_written_files_and_the_commands_for_root_are_printed(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_service(arguments("--config", config, "--out", tmp_path / "out")) == 0
    printed = capsys.readouterr().out
    assert printed.count("written: ") == 3
    assert "systemctl daemon-reload" in printed


def test_folder_is_required_without_dry_run(config: Path) -> None:
    with pytest.raises(ConfigError, match="--out is missing"):
        run_service(arguments("--config", config))
