"""The log of an SQLite history is bounded, and a part of its limit."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from dashboard.history import sqlite_file
from dashboard.history.sqlite_file import HistoryLogError, HistoryMovedError
from dashboard.messages import Record
from tests.simulators.station import alert_event, detection
from tests.unit.dashboard.history_file import PRESS, HistoryFile, alert_record

MB = 1 << 20


@pytest.fixture(autouse=True)
def _try_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "SHORTEN_EVERY_S", 0)
    monkeypatch.setattr(sqlite_file, "SHORTEN_LIMIT_MS", 20)


def large_alert(seq: int) -> Record:
    """Return an alert of 120 kB."""
    boxes = (detection("x" * 400),) * 220
    return alert_record(alert_event(PRESS, seq, detections=boxes))


def fill(file: HistoryFile) -> None:
    for seq in range(1, 200):
        file.record(large_alert(seq))


def sizes(file: HistoryFile) -> tuple[int, int]:
    """Return the bytes of the file and of its log."""
    log = file.path.with_name(f"{file.path.name}-wal")
    return file.path.stat().st_size, log.stat().st_size if log.exists() else 0


def test_readers_that_overlap_do_not_let_the_log_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "LOG_MAX_BYTES", MB)
    file = HistoryFile(tmp_path)
    largest = 0
    for seq in range(1, 60):
        with closing(sqlite3.connect(file.path)) as reader:
            reader.execute("SELECT count(*) FROM alerts").fetchall()
            file.record(large_alert(seq))
        largest = max(largest, sizes(file)[1])
    assert largest < 2 * MB
    file.close()


def test_log_that_a_reader_keeps_counts_in_the_limit(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path, max_mb=16)
    with closing(sqlite3.connect(file.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM alerts").fetchall()
        with pytest.raises(HistoryLogError, match="end that program"):
            fill(file)
        assert sum(sizes(file)) < 16 * MB
        reader.execute("ROLLBACK")
    assert file.record(large_alert(200)).acks
    assert sizes(file)[1] < 2 * MB
    file.close()


def test_log_without_a_limit_is_reported_and_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sqlite_file, "LOG_MAX_BYTES", MB)
    file = HistoryFile(tmp_path)
    with closing(sqlite3.connect(file.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM alerts").fetchall()
        with caplog.at_level(logging.WARNING):
            for seq in range(1, 30):
                assert file.record(large_alert(seq)).acks
    assert caplog.text.count("history_log_grows") == 1
    file.close()


def test_file_and_log_stay_within_the_limit(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path, max_mb=8)
    with pytest.raises(OperationalError, match="full"):
        fill(file)
    assert 6 * MB < sum(sizes(file)) <= 8 * MB
    file.close()


def test_long_query_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "READ_LIMIT_S", 0)
    monkeypatch.setattr(sqlite_file, "READ_CHECK_STEPS", 100)
    file = HistoryFile(tmp_path)
    endless = text(
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
        " SELECT count(*) FROM c"
    )
    with (
        file.database.read() as connection,
        pytest.raises(OperationalError, match="interrupted"),
    ):
        connection.execute(endless)
    file.close()


def test_file_that_was_moved_is_neither_read_nor_written(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path)
    file.path.rename(tmp_path / "elsewhere.sqlite3")
    with pytest.raises(HistoryMovedError, match="restart the dashboard"):
        file.record(large_alert(1))
    with pytest.raises(SQLAlchemyError, match="was moved"):
        file.history.newest()
    file.close()
