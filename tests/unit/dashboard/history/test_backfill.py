"""A history of version 2 gets the sums of its events when it is opened."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from dashboard.history import backfill, schema
from dashboard.history.database import Database
from dashboard.history.rollups import MS_PER_MINUTE
from dashboard.history.tables.received import alerts, meta
from dashboard.history.tables.rollups import HOURS_OF
from models.errors import ConfigError
from tests.simulators.station import alert_event, detection
from tests.unit.dashboard.history.test_store import verdict_record
from tests.unit.dashboard.history_file import (
    NOW_MS,
    PRESS,
    HistoryFile,
    alert_record,
)

SUMS = (*HOURS_OF, *HOURS_OF.values())
FOUND = (detection("scratch"), detection("dent"), detection("scratch"))


def fill(file: HistoryFile) -> None:
    for seq in range(1, 8):
        event = alert_event(PRESS, seq, detections=FOUND, part_id=f"part-{seq}")
        file.record(alert_record(event, NOW_MS + seq * MS_PER_MINUTE // 3))
    file.record(*(verdict_record(seq) for seq in range(8, 11)))


def rows(database: Database) -> list[list[tuple[Any, ...]]]:
    with database.read() as connection:
        columns = (alerts.c.n, alerts.c.model_build, alerts.c.part_id)
        builds = connection.execute(select(*columns))
        found = [sorted(tuple(row) for row in builds)]
        for table in SUMS:
            query = connection.execute(select(table))
            found.append(sorted(tuple(row) for row in query))
        return found


def as_version_2(file: HistoryFile) -> None:
    with file.database.write() as connection:
        for table in SUMS:
            connection.execute(text(f"DROP TABLE {table.name}"))
        for index in ("alerts_by_part", "detections_by_label"):
            connection.execute(text(f"DROP INDEX {index}"))
        for column in ("model_build", "part_id"):
            connection.execute(text(f"ALTER TABLE alerts DROP COLUMN {column}"))
        connection.execute(text("PRAGMA user_version = 2"))
    file.close()


@pytest.fixture
def file(tmp_path: Path) -> HistoryFile:
    """A history of this version with some events."""
    history_file = HistoryFile(tmp_path)
    fill(history_file)
    return history_file


def test_command_for_users_leaves_an_older_history_as_it_is(file: HistoryFile) -> None:
    path = file.database.path
    assert path is not None
    as_version_2(file)
    with pytest.raises(ConfigError) as caught:
        Database(path, may_migrate=False)
    assert caught.value.fix == "Start the dashboard of this version once first."
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    Database(path).close()
    Database(path, may_migrate=False).close()


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_sums_of_an_older_history_are_those_of_a_new_one(
    file: HistoryFile, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(backfill, "CHUNK", chunk)
    expected = rows(file.database)
    assert [sum(row[-1] for row in table) for table in expected[1:]] == [7, 21, 3] * 2
    as_version_2(file)
    file.restart()
    assert rows(file.database) == expected
    file.restart()
    assert rows(file.database) == expected, "they are made once"
    file.close()


def test_start_that_is_interrupted_continues_at_the_next_one(
    file: HistoryFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows(file.database)
    as_version_2(file)
    monkeypatch.setattr(backfill, "CHUNK", 2)
    real, calls = backfill.add_sums, []

    def stop_soon(connection: Any) -> bool:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(connection)

    monkeypatch.setattr("dashboard.history.database.add_sums", stop_soon)
    with pytest.raises(KeyboardInterrupt):
        file.restart()
    monkeypatch.setattr("dashboard.history.database.add_sums", real)
    file.restart()
    assert rows(file.database) == expected
    with file.database.read() as connection:
        pending = select(meta).where(meta.c.key == schema.PENDING_KEY)
        assert connection.execute(pending).all() == []
    file.close()


def test_events_that_come_again_are_not_counted_again(file: HistoryFile) -> None:
    expected = rows(file.database)
    fill(file)
    assert rows(file.database) == expected
    file.close()
