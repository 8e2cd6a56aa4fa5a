import fcntl
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.cameras.source import parse_source
from edge.doctor import disk_check
from edge.doctor.check_result import Grade
from edge.doctor.disk_check import (
    check_folder,
    check_outbox,
    check_private_files,
    is_daemon_running,
)
from models.errors import ConfigError, DeliveryError

SOON_S = 60.0


def settings(path: Path) -> Any:
    return SimpleNamespace(outbox=SimpleNamespace(path=path))


def write_outbox(path: Path, events: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE event (id INTEGER)")
        rows = [(number,) for number in range(events)]
        connection.executemany("INSERT INTO event VALUES (?)", rows)
        connection.commit()


def test_folder_that_does_not_exist_yet_is_checked_where_it_will_be(
    tmp_path: Path,
) -> None:
    result = check_folder("evidence", tmp_path / "a" / "b", 0)
    assert (result.check, result.grade) == ("disk evidence", Grade.OK)
    assert result.figures["room_bytes"] > 0
    assert not (tmp_path / "a").exists()


def test_folder_that_may_grow_beyond_the_disk_is_a_warning(tmp_path: Path) -> None:
    result = check_folder("evidence", tmp_path, 1 << 60)
    assert result.grade is Grade.WARN
    assert "max_bytes" in result.fix


def test_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("a file", "utf-8")
    with pytest.raises(ConfigError, match="cannot be written"):
        check_folder("evidence", tmp_path / "evidence", 0)


def test_outbox_is_intact_with_its_number_of_events(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    write_outbox(path, 3)
    result = check_outbox(settings(path), time.monotonic() + SOON_S)
    assert (result.grade, result.figures) == (Grade.OK, {"events": 3.0})


def test_outbox_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    result = check_outbox(settings(path), time.monotonic() + SOON_S)
    assert result.grade is Grade.OK
    assert not path.exists()


def test_damaged_outbox_has_failed(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"not a database" * 500)
    with pytest.raises(DeliveryError, match="damaged"):
        check_outbox(settings(path), time.monotonic() + SOON_S)


def test_outbox_too_large_to_be_checked_in_time_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    write_outbox(path, 50_000)
    result = check_outbox(settings(path), deadline_s=0)
    assert result.grade is Grade.WARN


def test_daemon_is_running_while_its_lock_is_held(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    assert not is_daemon_running(path), "no daemon has ever run"
    with path.with_name("outbox.sqlite.lock").open("wb") as lock:
        assert not is_daemon_running(path)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_daemon_running(path)


@pytest.fixture
def station(tmp_path: Path) -> Any:
    """Settings of a daemon whose files are closed to others."""
    for name in ("slot", "slot/store", "data", "data/evidence"):
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / "data").chmod(0o700)
    write_outbox(tmp_path / "data" / "outbox.sqlite", 0)
    return SimpleNamespace(
        outbox=SimpleNamespace(path=tmp_path / "data" / "outbox.sqlite"),
        evidence=SimpleNamespace(folder=tmp_path / "data" / "evidence"),
        model=SimpleNamespace(slot=tmp_path / "slot"),
        camera=(),
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration, readable by all users."""
    path = tmp_path / "edge.toml"
    path.write_text("")
    tmp_path.chmod(0o755)
    path.chmod(0o644)
    return path


def test_files_of_the_daemon_that_are_closed_to_others_are_fine(
    station: Any, config: Path
) -> None:
    assert check_private_files(station, config).grade is Grade.OK


def test_outbox_and_pictures_that_others_may_read_are_a_warning(
    station: Any, config: Path
) -> None:
    station.outbox.path.parent.chmod(0o755)
    station.outbox.path.chmod(0o644)
    station.evidence.folder.chmod(0o755)
    result = check_private_files(station, config)
    assert result.grade is Grade.WARN
    assert f"may read {station.outbox.path}" in result.why
    assert f"chmod go= {station.evidence.folder}" in result.fix


def test_slot_that_others_may_change_is_a_warning(station: Any, config: Path) -> None:
    (station.model.slot / "store").chmod(0o777)
    result = check_private_files(station, config)
    assert result.grade is Grade.WARN
    assert "and so the model in force" in result.why


def test_configuration_that_others_may_change_is_a_warning(
    station: Any, config: Path
) -> None:
    config.chmod(0o666)
    result = check_private_files(station, config)
    assert result.grade is Grade.WARN
    assert f"may change {config}, and so the configuration" in result.why
    assert result.fix == f"chmod go-w {config}"


def test_slot_of_another_user_than_the_daemon_is_a_warning(
    station: Any, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = station.model.slot
    owner = disk_check._owner_of  # noqa: SLF001
    monkeypatch.setattr(
        disk_check, "_owner_of", lambda path: owner(path) + (path == slot)
    )
    result = check_private_files(station, config)
    assert "belongs to another user" in result.why
    assert "chown -R" in result.fix


def test_login_of_a_camera_in_a_file_that_others_may_read_is_a_warning(
    station: Any, config: Path
) -> None:
    source = parse_source("rtsp://admin:S3cret@cam/1")
    station.camera = (SimpleNamespace(source=source),)
    result = check_private_files(station, config)
    assert result.grade is Grade.WARN
    assert f"may read {config}, with the login of a camera" in result.why
    assert "S3cret" not in f"{result}"
    config.chmod(0o600)
    assert check_private_files(station, config).grade is Grade.OK
    station.camera = (SimpleNamespace(source=parse_source("rtsp://cam/1")),)
    config.chmod(0o644)
    assert check_private_files(station, config).grade is Grade.OK
