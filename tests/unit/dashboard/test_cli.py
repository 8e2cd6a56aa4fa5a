"""Arguments of ``graftline dashboard``, and the client id of its MQTT session."""

import argparse
import json
from pathlib import Path

import pytest

from dashboard.cli import (
    add_dashboard_arguments,
    name_of_process,
    run_dashboard,
    session_of,
)
from dashboard.config import CollectorBrokerSettings, ServerSettings
from models.errors import ConfigError
from tests.unit.dashboard.history_file import HistoryFile

HERE = "this machine and port"


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
    client_id, is_first = session_of(settings, file.store, HERE)
    assert client_id.startswith("graftline-dashboard-")
    assert is_first
    assert session_of(settings, file.store, HERE) == (client_id, False)


def test_copied_or_shared_history_has_a_client_id_for_each_dashboard(
    file: HistoryFile,
) -> None:
    settings = CollectorBrokerSettings()
    others = [name_of_process(ServerSettings(port=port)) for port in (8765, 8766)]
    assert others[0] == name_of_process(ServerSettings())
    ids = {session_of(settings, file.store, each) for each in (*others, "a copy")}
    assert len(ids) == 3


def test_session_on_another_broker_is_new(file: HistoryFile) -> None:
    client_id, _ = session_of(CollectorBrokerSettings(), file.store, HERE)
    other = CollectorBrokerSettings(host="other-broker")
    assert session_of(other, file.store, HERE) == (client_id, True)


def test_configured_client_id_is_used(file: HistoryFile) -> None:
    settings = CollectorBrokerSettings(client_id="plant-dashboard")
    assert session_of(settings, file.store, HERE) == ("plant-dashboard", True)
