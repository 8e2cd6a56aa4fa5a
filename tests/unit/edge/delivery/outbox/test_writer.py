"""A batch is written once, and a full or damaged file does not stop the writer."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from edge.delivery.outbox.database import OutboxDatabase
from edge.delivery.outbox.events import EventKind, NewEvent
from edge.delivery.outbox.write_queue import WriteBatch
from edge.delivery.outbox.writer import OutboxWriter
from tests.simulators.alerts import ALERT_TOPIC, CAPTURED_AT, TOPICS, alert

CAP_BYTES = 1 << 20


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[OutboxWriter]:
    result = OutboxWriter(tmp_path / "outbox.db", TOPICS, CAP_BYTES)
    result.open()
    yield result
    result.close()


def batch_of(count: int) -> WriteBatch:
    batch = WriteBatch()
    for frame_id in range(count):
        content = alert(frame_id).model_dump_json().encode()
        time = CAPTURED_AT.isoformat()
        event = NewEvent(EventKind.ALERT, ALERT_TOPIC, time, content)
        batch.puts.append((event, Future()))
    return batch


def commit(writer: OutboxWriter, batch: WriteBatch) -> int | None:
    return writer.commit(batch, forget_sent=False)


def test_batches_get_consecutive_positions(writer: OutboxWriter) -> None:
    assert commit(writer, batch_of(3)) == 1
    assert commit(writer, batch_of(2)) == 4
    assert (writer.last_seq, writer.rows) == (5, 5)


def test_acknowledged_events_are_deleted_in_the_same_commit(
    writer: OutboxWriter,
) -> None:
    commit(writer, batch_of(3))
    batch = batch_of(1)
    batch.acknowledged = [(writer.stream, 1, 2), ("station-1-old", 3, 3)]
    assert commit(writer, batch) == 4
    assert (writer.rows, writer.acknowledged) == (2, 2)


def test_collector_is_kept_over_a_restart(writer: OutboxWriter) -> None:
    batch = batch_of(0)
    batch.collector_seen = True
    commit(writer, batch)
    assert not writer.collector_known, "it is read when the file is opened"
    writer.check()
    assert writer.collector_known


def test_lost_events_leave_a_record_after_the_events_of_the_batch(
    writer: OutboxWriter,
) -> None:
    batch = batch_of(1)
    batch.lost["alert"] = (7, alert(1).model_dump_json().encode())
    assert commit(writer, batch) == 1
    assert writer.rows == writer.last_seq == 2


def test_full_file_evicts_and_takes_the_batch(
    writer: OutboxWriter, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        assert commit(writer, batch_of(100)) is not None
    assert writer.rows < 2000
    assert "outbox_shed kind=alert" in caplog.text
    assert not writer.is_failing


def test_file_that_went_away_is_a_new_stream(
    writer: OutboxWriter, tmp_path: Path
) -> None:
    commit(writer, batch_of(2))
    stream = writer.stream
    writer.close()
    (tmp_path / "outbox.db").unlink()
    assert commit(writer, batch_of(1)) == 1
    assert writer.stream != stream


def test_damaged_file_fails_one_commit_and_the_next_one_is_written(
    writer: OutboxWriter, tmp_path: Path
) -> None:
    commit(writer, batch_of(2))
    writer.close()
    (tmp_path / "outbox.db").write_bytes(b"rubbish" * 1000)
    assert commit(writer, batch_of(1)) == 1
    assert len(list(tmp_path.glob("outbox.db.damaged-*Z"))) == 1
    assert not writer.is_failing


def test_locked_file_is_a_failure_until_it_is_free(
    writer: OutboxWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.close()
    monkeypatch.setattr("edge.delivery.outbox.database.BUSY_TIMEOUT_S", 0.02)
    writer.open()
    other = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    batch = batch_of(1)
    assert commit(writer, batch) is None
    assert writer.is_failing
    other.execute("ROLLBACK")
    other.close()
    assert commit(writer, batch) == 1
    assert not writer.is_failing
    assert writer.rows == 1


def test_batch_is_not_taken_for_written_when_only_the_eviction_was(
    writer: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(code: int) -> sqlite3.OperationalError:
        error = sqlite3.OperationalError("a fault of the disk")
        error.sqlite_errorcode = code
        return error

    def refuse(*_: object) -> None:
        raise fault(sqlite3.SQLITE_FULL)

    def evict(database: OutboxDatabase) -> None:
        insert(database, database.last_seq + 1, [batch_of(1).puts[0][0]])
        raise fault(sqlite3.SQLITE_IOERR)

    insert = OutboxDatabase.insert
    with monkeypatch.context() as patch:
        patch.setattr(OutboxDatabase, "insert", refuse)
        patch.setattr(OutboxDatabase, "shrink_to_disk", evict)
        batch = batch_of(1)
        assert commit(writer, batch) is None
    assert commit(writer, batch) == 2
    assert writer.rows == 2
