import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from dashboard.config import HistorySettings
from dashboard.history.database import HistoryClosedError
from dashboard.history.store import Committed
from dashboard.ingest.writer import (
    AckRequest,
    Delivery,
    HistoryWriter,
    OnBatch,
    Receipt,
)
from dashboard.messages import Image, Message, Record, Sender
from models.topics import StationTopics
from tests.simulators.postgresql import PostgresqlServer, require_postgresql
from tests.simulators.station import alert_event, detection
from tests.unit.dashboard.history_file import PRESS, HistoryFile
from tests.waiting import until

TOPIC = PRESS.camera("top", "alert")


class Ledger:
    """A writer, and what it has let be acknowledged."""

    def __init__(self, file: HistoryFile) -> None:
        self.file = file
        self.writer = HistoryWriter(file.store, HistorySettings())
        self.receipts: list[int] = []
        self.acked: list[int] = []
        self.rows_when_acked: list[int] = []

    def start(self, on_batch: OnBatch = lambda _messages, _records: None) -> None:
        self.writer.start(self._when_done, self._when_committed, on_batch)

    def _when_done(self, request: AckRequest) -> None:
        self.rows_when_acked.append(len(self.file.history.alerts(500)))
        self.receipts += [each.mid for each in request.receipts]
        self.acked += [ack.high_water for _, ack in request.acks]

    def _when_committed(self, committed: Committed) -> None:
        pass

    def send(self, mid: int, payload: bytes, qos: int = 1) -> bool:
        return self.send_to(TOPIC, mid, payload, qos)

    def send_to(self, topic: str, mid: int, payload: bytes, qos: int = 1) -> bool:
        message = Message(topic, payload, time.time_ns() // 1_000_000)
        return self.writer.enqueue(Delivery(message, Receipt(1, mid, qos)))


def alert(seq: int) -> bytes:
    return alert_event(PRESS, seq).model_dump_json().encode()


@pytest.fixture
def ledger(file: HistoryFile) -> Iterator[Ledger]:
    the_ledger = Ledger(file)
    the_ledger.start()
    yield the_ledger
    the_ledger.writer.stop()


def test_nothing_is_acknowledged_before_its_row_is_committed(ledger: Ledger) -> None:
    for seq in range(1, 4):
        ledger.send(seq, alert(seq))
        until(lambda seq=seq: seq in ledger.receipts, "receipt")  # type: ignore[misc]
    assert ledger.rows_when_acked == [1, 2, 3]
    assert ledger.acked == [1, 2, 3]


def test_hostile_message_is_counted_and_confirmed_to_the_broker(ledger: Ledger) -> None:
    ledger.send(1, b"\xff not JSON")
    ledger.send(2, alert(1))
    until(lambda: ledger.receipts == [1, 2], "receipts")
    assert ledger.writer.rejected == {"not_json": 1}
    assert ledger.acked == [1]


def test_locked_history_holds_everything_until_it_is_free(ledger: Ledger) -> None:
    other = sqlite3.connect(ledger.file.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger.send(1, alert(1))
    until(lambda: ledger.writer.failure, "the failure is reported")
    assert ledger.receipts == []
    other.execute("ROLLBACK")
    other.close()
    until(lambda: ledger.receipts == [1], "receipt after the lock")
    assert ledger.writer.failure == ""
    assert len(ledger.file.history.alerts(9)) == 1


def test_stopping_commits_what_has_arrived(file: HistoryFile) -> None:
    ledger = Ledger(file)
    for seq in range(1, 301):  # more than one batch
        ledger.send(seq, alert(seq))
    ledger.start()
    ledger.writer.stop()
    assert len(ledger.receipts) == 300
    assert file.history.newest() == 300


def test_statistics_do_not_crowd_out_alerts(file: HistoryFile) -> None:
    ledger = Ledger(file)  # not started: everything waits
    taken = sum(ledger.send(0, b"{}", qos=0) for _ in range(3000))
    assert taken == 2001
    assert ledger.send(1, alert(1))
    assert ledger.writer.dropped == 999


def test_large_live_messages_do_not_fill_the_memory(file: HistoryFile) -> None:
    ledger = Ledger(file)
    topic = PRESS.camera("top", "stats")
    large = bytes(500_000)
    taken = [ledger.send_to(topic, n, large, qos=0) for n in range(200)]
    assert sum(taken) == 68  # 34 MB of 100 MB
    assert ledger.send(1, alert(1)), "an alert still has room"
    ledger.start()
    until(lambda: ledger.acked, "the queue is empty")
    assert ledger.send_to(topic, 2, large, qos=0)
    ledger.writer.stop()


def test_batch_that_cannot_be_noted_never_ends_the_thread(file: HistoryFile) -> None:
    ledger, errors = Ledger(file), [OverflowError("too large")]

    def note(_messages: Sequence[Message], _records: Sequence[Record]) -> None:
        if errors:
            raise errors[0]

    ledger.start(note)
    ledger.send(1, alert(1))
    until(lambda: "too large" in ledger.writer.batch_failure, "the failure is shown")
    assert ledger.writer.unnoted == 1
    errors.clear()
    ledger.send(2, alert(2))
    until(lambda: ledger.receipts == [1, 2], "the thread goes on")
    ledger.writer.stop()
    assert ledger.writer.batch_failure == ""


def test_batch_is_noted_before_it_is_acknowledged(file: HistoryFile) -> None:
    ledger, receipts_when_noted = Ledger(file), []

    def note(_messages: Sequence[Message], _records: Sequence[Record]) -> None:
        receipts_when_noted.append(list(ledger.receipts))
        if len(receipts_when_noted) == 1:
            raise HistoryClosedError

    ledger.start(note)
    ledger.send_to(PRESS.status, 1, b"")
    until(lambda: ledger.receipts == [1], "receipt")
    ledger.writer.stop()
    assert receipts_when_noted == [[], []], "tried once more, then acknowledged"
    assert not ledger.writer.unnoted


DAY_MS = 24 * 3600 * 1000
PICTURE = b"\xff\xd8\xff" + bytes(100_000)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Ledger]:
    """A writer, not started, whose history takes eight pictures."""
    file = HistoryFile(tmp_path, max_mb=2)
    ledger = Ledger(file)
    yield ledger
    ledger.writer.stop()
    file.close()


def fill(ledger: Ledger, received_ms: int) -> None:
    """Put pictures into the history until no more fits."""
    sender = Sender(PRESS, "top", received_ms, is_retained=False)
    with contextlib.suppress(OperationalError):
        for seq in range(1000, 2000):
            ledger.file.record(Image(sender, f"press-1-00ff:{seq}", "00", PICTURE))


def test_full_history_has_room_again_when_rows_become_too_old(small: Ledger) -> None:
    now_ms = time.time_ns() // 1_000_000
    fill(small, now_ms)
    small.file.prune(now_ms, 10**13, 90, 90)  # its clock is trusted
    other = sqlite3.connect(small.file.path, isolation_level=None)
    soon_ms = now_ms - 90 * DAY_MS + 2000
    other.execute("UPDATE images SET received_ms = ?", (soon_ms,))
    other.close()
    small.start()
    topic = PRESS.camera("top", "image/press-1-00ff:1")
    small.send_to(topic, 1, PICTURE)
    until(lambda: small.writer.failure, "that it is full is reported")
    until(lambda: small.receipts == [1], "receipt once there is room")
    assert small.writer.failure == ""


def test_part_of_a_batch_that_fits_a_full_history_is_acknowledged(
    small: Ledger,
) -> None:
    for seq in range(1, 21):
        topic = PRESS.camera("top", f"image/press-1-00ff:{seq}")
        small.send_to(topic, seq, PICTURE)
    small.start()
    until(lambda: len(small.receipts) >= 6, "receipts of what fits")
    until(lambda: small.writer.failure, "that the rest waits is reported")
    taken = list(small.receipts)
    assert taken == list(range(1, len(taken) + 1))


def test_history_closed_under_a_writer_ends_the_writer(file: HistoryFile) -> None:
    sender = Sender(PRESS, "top", 0, is_retained=False)
    errors: list[SQLAlchemyError] = []
    written: list[int] = []

    def write() -> None:
        try:
            for seq in range(100_000):
                file.record(Image(sender, f"press-1-00ff:{seq}", "00", b"\xff\xd8"))
                written.append(seq)
        except SQLAlchemyError as exc:
            errors.append(exc)

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: len(written) > 5, "the first rows")
    file.close()
    writer.join(20)
    assert isinstance(errors[0], HistoryClosedError)


def test_full_history_removes_pictures_and_takes_every_alert(small: Ledger) -> None:
    small.start()
    for seq in range(1, 31):
        topic = PRESS.camera("top", f"image/press-1-00ff:{seq}")
        small.send_to(topic, 2 * seq, PICTURE)
        small.send(2 * seq + 1, alert(seq))
    until(lambda: len(small.receipts) == 60, "all are taken")
    assert small.writer.removed_pictures > 0
    assert "pictures removed from a full history" in small.writer.alarm
    assert len(small.file.history.alerts(100)) == 30


def test_large_alerts_of_one_station_keep_no_alert_of_another_away(
    small: Ledger,
) -> None:
    small.start()
    small.send(1, alert(1))
    flood = StationTopics("plant", "line-1", "press-2")
    boxes = (detection("x" * 400),) * 220
    for seq in range(1, 31):
        event = alert_event(flood, seq, detections=boxes)
        topic = flood.camera("top", "alert")
        small.send_to(topic, 100 + seq, event.model_dump_json().encode())
    until(lambda: len(small.receipts) == 31, "all are taken")
    for seq in range(2, 21):
        small.send(seq, alert(seq))
    until(lambda: 20 in small.acked, "every alert of the other station is stored")
    assert small.writer.failure == ""
    assert "no_room" in small.writer.alarm


@pytest.mark.fault(73)
def test_postgresql_that_crashes_and_comes_back_loses_and_doubles_nothing() -> None:
    require_postgresql()
    server = PostgresqlServer()
    server.start()
    file = HistoryFile(server.new_database())
    ledger = Ledger(file)
    ledger.start()
    try:
        for seq in range(1, 4):
            ledger.send(seq, alert(seq))
        until(lambda: 3 in ledger.acked, "they are committed")
        server.stop("immediate")
        for seq in range(4, 400):  # more than one batch
            ledger.send(seq, alert(seq))
        until(lambda: ledger.writer.failure, "the failure is reported")
        assert max(ledger.receipts) == 3, "nothing is acknowledged meanwhile"
        server.start()
        until(lambda: 399 in ledger.acked, "all are committed and acknowledged", 60)
        assert sorted(ledger.receipts) == list(range(1, 400))
        assert ledger.writer.failure == ""
        assert file.history.totals(0)["alerts"] == 399
    finally:
        ledger.writer.stop()
        file.close()
        server.remove()
