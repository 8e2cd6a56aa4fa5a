"""Arguments of ``graftline dashboard``, and the client id of its MQTT session."""

import argparse
import json
from pathlib import Path

import pytest

from dashboard.cli import add_dashboard_arguments, run_dashboard, session_of
from dashboard.config import CollectorBrokerSettings
from models.errors import ConfigError
from tests.unit.dashboard.history_file import HistoryFile


def arguments(*typed: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_dashboard_arguments(parser)
    return parser.parse_args(list(map(str, typed)))


def test_print_config_shows_paths_beside_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "dashboard.toml"
    config.write_text('[history]\npath = "kept.sqlite3"\n', encoding="utf-8")
    assert run_dashboard(arguments("--config", config, "--print-config")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["history"]["path"] == str(tmp_path / "kept.sqlite3")


def test_configuration_is_optional(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_dashboard(arguments("--print-config")) == 0
    assert "broker" in json.loads(capsys.readouterr().out)


def test_missing_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        run_dashboard(arguments("--config", tmp_path / "none.toml"))


def test_generated_client_id_is_the_same_after_a_restart(file: HistoryFile) -> None:
    settings = CollectorBrokerSettings()
    client_id, is_first = session_of(settings, file.store)
    assert client_id.startswith("graftline-dashboard-")
    assert is_first
    assert session_of(settings, file.store) == (client_id, False)


def test_session_on_another_broker_is_new(file: HistoryFile) -> None:
    client_id, _ = session_of(CollectorBrokerSettings(), file.store)
    other = CollectorBrokerSettings(host="other-broker")
    assert session_of(other, file.store) == (client_id, True)


def test_configured_client_id_is_used(file: HistoryFile) -> None:
    settings = CollectorBrokerSettings(client_id="plant-dashboard")
    assert session_of(settings, file.store) == ("plant-dashboard", True)
