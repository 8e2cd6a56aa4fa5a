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


def test_user_has_a_default(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_service(arguments("--config", config, "--dry-run")) == 0
    assert "User=graftline\n" in capsys.readouterr().out


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


def test_dashboard_has_a_unit_and_a_user_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "dashboard.toml"
    config.write_text("", encoding="utf-8")
    typed = ("--dashboard", config, "--out", tmp_path / "out")
    assert run_service(arguments(*typed)) == 0
    printed = capsys.readouterr().out
    assert "systemctl enable --now graftline-dashboard.service\n" in printed
    unit = (tmp_path / "out" / "graftline-dashboard.service").read_text("utf-8")
    assert "User=graftline-dashboard\n" in unit
    assert run_service(arguments(*typed, "--dry-run")) == 0
    assert capsys.readouterr().out == unit


def test_agent_and_dashboard_are_not_one_service(tmp_path: Path) -> None:
    config = tmp_path / "dashboard.toml"
    config.write_text("", encoding="utf-8")
    typed = ("--dashboard", config, "--agent-config", config, "--dry-run")
    with pytest.raises(ConfigError, match="--agent-config"):
        run_service(arguments(*typed))


def test_units_of_daemon_and_dashboard_are_written_together(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dashboard = tmp_path / "dashboard.toml"
    dashboard.write_text("", encoding="utf-8")
    both = ("--config", config, "--dashboard", dashboard)
    assert run_service(arguments(*both, "--out", tmp_path / "out")) == 0
    printed = capsys.readouterr().out
    names = ("graftline-edge", "graftline-agent", "graftline-dashboard")
    enabled = " ".join(f"{name}.service" for name in names)
    assert f"systemctl enable --now {enabled}\n" in printed
    assert len([*(tmp_path / "out").iterdir()]) == 5
    with pytest.raises(ConfigError, match="--user does not go with both"):
        run_service(arguments(*both, "--user", "me", "--dry-run"))


def test_unit_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="--config and --dashboard are missing"):
        run_service(arguments("--dry-run"))
