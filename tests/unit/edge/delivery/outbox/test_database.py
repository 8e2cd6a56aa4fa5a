"""The SQLite file: positions, confirmations, checksums, size."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.delivery.outbox.database import OutboxDatabase, Transaction
from edge.delivery.outbox.events import EventKind, NewEvent

CAP_BYTES = 1 << 20


def event(number: int, image: bytes | None = None) -> NewEvent:
    return NewEvent(EventKind.ALERT, "topic", "time", b"%d" % number, image)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[OutboxDatabase]:
    result = OutboxDatabase(tmp_path / "outbox.db", CAP_BYTES)
    result.insert(1, [event(number) for number in range(1, 6)])
    yield result
    result.close()


def test_events_are_read_in_order_beyond_a_position(database: OutboxDatabase) -> None:
    found = database.read(2, 2, was_sent=False)
    assert [each.seq for each in found] == [3, 4]
    assert [each.event for each in found] == [event(3), event(4)]


def test_confirmed_events_are_read_apart(database: OutboxDatabase) -> None:
    database.mark_sent([2, 4, 99])
    assert [each.seq for each in database.read(0, 9, was_sent=True)] == [2, 4]
    assert database.unsent == 3
    assert database.depth == 5


def test_deletion_returns_how_many_events_went(database: OutboxDatabase) -> None:
    assert database.delete([(1, 2), (5, 9), (20, 30)]) == 3
    assert [each.seq for each in database.read(0, 9, was_sent=False)] == [3, 4]


def test_positions_continue_after_the_last_event_is_deleted(
    database: OutboxDatabase,
) -> None:
    database.delete([(1, 5)])
    assert (database.depth, database.last_seq) == (0, 5)


def test_new_stream_starts_at_position_1_with_another_epoch(
    database: OutboxDatabase,
) -> None:
    epoch = database.meta("epoch")
    database.delete([(1, 5)])
    database.start_stream()
    assert database.last_seq == 0
    assert database.meta("epoch") not in {"", epoch}


def test_kept_value_is_replaced(database: OutboxDatabase) -> None:
    assert database.meta("owner") == ""
    for value in ("a", "b"):
        database.set_meta("owner", value)
    assert database.meta("owner") == "b"


def test_event_that_the_disk_has_changed_is_not_whole(database: OutboxDatabase) -> None:
    database.connection.execute("UPDATE event SET data = x'00' WHERE seq = 2")
    found = database.read(0, 9, was_sent=False)
    assert [each.is_whole for each in found] == [True, False, True, True, True]


def test_image_that_the_disk_has_changed_is_left_out(database: OutboxDatabase) -> None:
    database.insert(6, [event(6, b"image")])
    database.connection.execute("UPDATE event SET image = x'00' WHERE seq = 6")
    (found,) = database.read(5, 1, was_sent=False)
    assert found.is_whole
    assert found.event.image is None


def test_transaction_that_raises_changes_nothing(database: OutboxDatabase) -> None:
    def fail() -> None:
        with Transaction(database.connection):
            database.delete([(1, 5)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert database.depth == 5


def test_used_share_grows_with_the_events(database: OutboxDatabase) -> None:
    before = database.used_share
    database.insert(6, [event(6, bytes(CAP_BYTES // 4))])
    assert before + 0.2 < database.used_share < 1


def test_file_with_another_header_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="header is damaged"):
        OutboxDatabase(path, CAP_BYTES)


def test_file_without_an_epoch_is_damaged(database: OutboxDatabase) -> None:
    database.check()
    database.connection.execute("DELETE FROM meta WHERE name = 'epoch'")
    with pytest.raises(sqlite3.DatabaseError, match="epoch is missing"):
        database.check()
