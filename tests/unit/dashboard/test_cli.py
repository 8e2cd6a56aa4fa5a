"""Arguments of ``graftline dashboard``, and the client id of its MQTT session."""

import argparse
import json
import stat
from pathlib import Path

import pytest

from dashboard.cli import (
    add_dashboard_arguments,
    held_history,
    name_of_process,
    run_dashboard,
    session_of,
)
from dashboard.config import (
    CollectorBrokerSettings,
    HistorySettings,
    ServerSettings,
)
from models.errors import ConfigError
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import PRESS, HistoryFile, alert_record

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


def test_backup_is_a_history_with_one_state_of_it(
    tmp_path: Path, file: HistoryFile
) -> None:
    config, copy = tmp_path / "dashboard.toml", tmp_path / "copy" / "history.sqlite3"
    config.write_text("", encoding="utf-8")
    copy.parent.mkdir()
    file.record(alert_record(alert_event(PRESS, 1)))
    with file.database.write():  # a change that is not committed yet
        assert run_dashboard(arguments("--config", config, "--backup", copy)) == 0
    file.record(alert_record(alert_event(PRESS, 2)))
    copied = HistoryFile(copy.parent)
    assert [each["seq"] for each in copied.history.alerts(9)] == [1]
    copied.close()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_backup_replaces_no_file(tmp_path: Path, file: HistoryFile) -> None:
    config = tmp_path / "dashboard.toml"
    config.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be copied") as caught:
        run_dashboard(arguments("--config", config, "--backup", file.path))
    assert caught.value.why == "exists already"


def test_backup_of_no_history_leaves_no_file(tmp_path: Path) -> None:
    config, copy = tmp_path / "dashboard.toml", tmp_path / "copy.sqlite3"
    config.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be copied"):
        run_dashboard(arguments("--config", config, "--backup", copy))
    assert [each.name for each in tmp_path.iterdir()] == ["dashboard.toml"]


def test_backup_of_postgresql_names_the_command_for_it(tmp_path: Path) -> None:
    config = tmp_path / "dashboard.toml"
    url = "postgresql://me@db/plant"
    config.write_text(f'[history]\nurl = "{url}"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        run_dashboard(arguments("--config", config, "--backup", "b.dump"))
    assert caught.value.fix == f"pg_dump --format=custom --file=b.dump {url}"


def test_missing_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        run_dashboard(arguments("--config", tmp_path / "none.toml"))


def test_generated_client_id_is_the_same_after_a_restart_and_at_each_broker(
    file: HistoryFile,
) -> None:
    client_id, is_first = session_of(CollectorBrokerSettings(), file.store, HERE)
    assert client_id.startswith("graftline-dashboard-")
    assert not is_first, "no other history has used it"
    node = CollectorBrokerSettings(host="other-node")
    assert session_of(node, file.store, HERE) == (client_id, False)


def test_copied_or_shared_history_has_a_client_id_for_each_dashboard(
    file: HistoryFile,
) -> None:
    settings = CollectorBrokerSettings()
    others = [name_of_process(ServerSettings(port=port)) for port in (8765, 8766)]
    assert others[0] == name_of_process(ServerSettings())
    ids = {session_of(settings, file.store, each) for each in (*others, "a copy")}
    assert len(ids) == 3


def test_configured_client_id_is_used(file: HistoryFile) -> None:
    settings = CollectorBrokerSettings(client_id="plant-dashboard")
    assert session_of(settings, file.store, HERE) == ("plant-dashboard", True)


def test_sqlite_history_has_one_dashboard_at_a_time(tmp_path: Path) -> None:
    history = HistorySettings(path=tmp_path / "new" / "history.sqlite3")
    for _ in range(2):  # it is free again
        with held_history(history):
            again = held_history(history)
            with pytest.raises(ConfigError, match="another dashboard"), again:
                pass
            shared = HistorySettings(url="postgresql://graftline@db.plant.example/x")
            with held_history(shared), held_history(shared):
                pass
