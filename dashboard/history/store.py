"""Writes the history: many messages in one commit, each event at most once.

A station keeps an event until the collector acknowledged it, so the collector may
acknowledge only what is committed here. An alert that announces a picture counts as
complete only when that very picture (by its sha256) is stored too.

Per stream the complete events are kept as ranges of ``seq``: gaps are visible, and
the acknowledgement can be repeated at any time, also for events that retention has
removed since.
"""

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from dashboard.history.acknowledged_ranges import AcknowledgedRanges, RecordRefusedError
from dashboard.history.known_events import KnownEvents
from dashboard.history.last_seen import LastSeen
from dashboard.history.retention import Retention
from dashboard.history.room import Room
from dashboard.history.schema import BUSY_TIMEOUT_S, open_for_writing
from dashboard.history.unannounced import UnannouncedPictures
from dashboard.messages import (
    Alert,
    Image,
    Loss,
    PartVerdict,
    Queued,
    Record,
    Rejection,
    RejectionReason,
    Sender,
    State,
)
from models.messages import Acknowledgement
from models.topics import StationTopics

CLOSE_LIMIT_S = 10.0
# What a single bad row can raise, as opposed to a full or locked database.
BAD_ROW = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    OverflowError,
    UnicodeEncodeError,
)


@dataclass(slots=True)
class Committed:
    """The result of one commit.

    Attributes:
        alerts: Cursors ``n`` of the new alerts, ascending.
        completed: Cursors of alerts whose picture has arrived.
        duplicates: Events that were in the history already.
        rejections: Records that the history cannot hold.
        forgotten: Silent stations and cameras that made room for others.
        has_changed: A state, counter or picture has changed.
    """

    alerts: list[int] = field(default_factory=list)
    completed: list[int] = field(default_factory=list)
    duplicates: int = 0
    acks: list[tuple[StationTopics, Acknowledgement]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    forgotten: int = 0
    has_changed: bool = False


@dataclass(frozen=True, slots=True)
class _Stream:
    """A stream, when it was first read in a transaction.

    Attributes:
        row: Its ``stream_id``.
        highest_expected: Higher positions are refused.
    """

    row: int
    highest_expected: int


@dataclass(slots=True)
class _Batch:
    """The state of one transaction.

    Attributes:
        complete: Position and digest of events that may be acknowledged, by stream.
            The digest is None for an alert that a version without digests has written
            and that a picture completes: it is acknowledged when it is sent again.
        streams: The streams that were read.
        seen: Last message of each sender.
    """

    result: Committed = field(default_factory=Committed)
    complete: defaultdict[int, set[tuple[int, str | None]]] = field(
        default_factory=lambda: defaultdict(set)
    )
    streams: dict[tuple[StationTopics, str], _Stream] = field(default_factory=dict)
    seen: dict[tuple[StationTopics, str, bool], Sender] = field(default_factory=dict)


class Store:
    """The one writer of the history. Used by one thread at a time.

    Args:
        max_mb: Largest size in MiB; 0 = limited by the disk only.
        busy_timeout_s: How long to wait for another writer.

    Raises:
        ConfigError: It cannot be opened.
    """

    def __init__(
        self, path: Path, max_mb: int = 0, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self._in_use = threading.Lock()  # SQLite crashes if closed in mid-write
        self._db = open_for_writing(path, max_mb, busy_timeout_s)
        self._ranges = AcknowledgedRanges(self._db)
        self._known = KnownEvents(self._db)
        self._last_seen = LastSeen(self._db)
        self._retention = Retention(self._db)
        self._unannounced = UnannouncedPictures(self._db)
        self._room = Room(self._db, path)

    def close(self) -> None:
        """Close the file; SQLite writes the log into it.

        A commit in another thread ends first. One that hangs in a dead disk keeps the
        file open until the process ends.
        """
        if self._in_use.acquire(timeout=CLOSE_LIMIT_S):
            try:
                self._db.close()
            finally:
                self._in_use.release()

    def remember(self, key: str, value: str) -> str:
        """Store a value under a name unless one is stored; return the stored one."""
        self._db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO NOTHING", (key, value)
        )
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,))
        return str(row.fetchone()[0])

    def record(self, records: Sequence[Record]) -> Committed:
        """Write records in one commit.

        When this returns, everything in ``acks`` is on the disk. A record that the
        database cannot hold is skipped and reported; it never blocks the others.

        Args:
            records: In the order of their arrival.

        Raises:
            sqlite3.Error: The database is full, locked or damaged; nothing was written.
        """
        try:
            return self._commit(records)
        except BAD_ROW as exc:
            if len(records) > 1:
                return _joined(self.record([record]) for record in records)
            topic = records[0].sender.topics.root
            rejection = Rejection(RejectionReason.UNSTORABLE, topic, str(exc))
            return Committed(rejections=[rejection])

    def prune(
        self, now_ms: int, ran_ms: int, keep_days: int, keep_images_days: int
    ) -> int:
        """Remove one chunk of rows that are too old; see ``Retention.prune``.

        Args:
            now_ms: Wall clock of the collector, UTC.
            ran_ms: Time by the monotonic clock since the last call, or the start.
            keep_days: Alerts, verdicts and losses older than this are removed.
            keep_images_days: Pictures older than this are removed.

        Returns:
            Number of removed rows.

        Raises:
            sqlite3.Error: The database is locked or damaged.
        """
        with self._transaction():
            removed = self._retention.prune(now_ms, ran_ms, keep_days, keep_images_days)
            return removed + self._unannounced.prune()

    def is_short_of_room(self) -> bool:
        """Return whether ``make_room`` is to be called before more is written.

        Raises:
            sqlite3.Error: The database is locked or damaged.
        """
        with self._in_use:
            return self._room.is_short()

    def make_room(self) -> int:
        """Remove pictures from a nearly full history; see ``Room.make``.

        Returns:
            Number of removed pictures.

        Raises:
            sqlite3.Error: The database is locked or damaged.
        """
        with self._transaction():
            return self._room.make()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._in_use:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:  # after any fault: leave no transaction open
                if self._db.in_transaction:  # SQLite may have rolled it back already
                    self._db.execute("ROLLBACK")
                raise

    def _commit(self, records: Sequence[Record]) -> Committed:
        batch = _Batch()
        forgotten = self._last_seen.forgotten
        with self._transaction():
            for record in records:
                try:
                    self._write(batch, record)
                except RecordRefusedError as exc:
                    topic = record.sender.topics.root
                    rejection = Rejection(exc.reason, topic, exc.detail)
                    batch.result.rejections.append(rejection)
            for sender in batch.seen.values():
                self._last_seen.note(sender)
            for stream_id, events in batch.complete.items():
                received_ms = max(each.sender.received_ms for each in records)
                self._ranges.add(stream_id, {seq for seq, _ in events}, received_ms)
                proven = [(seq, digest) for seq, digest in events if digest]
                acks = self._ranges.acknowledgements(stream_id, proven)
                batch.result.acks.extend(acks)
        batch.result.forgotten = self._last_seen.forgotten - forgotten
        return batch.result

    def _write(self, batch: _Batch, record: Record) -> None:
        """Write one record, unless its sender may not send it."""
        if isinstance(record, State):
            self._last_seen.keep(record)
        else:
            self._note_sender(batch, record.sender)
        match record:
            case Alert():
                self._write_alert(batch, record)
            case PartVerdict() | Loss():
                self._write_verdict_or_loss(batch, record)
            case Image():
                self._write_image(batch, record)
            case State():
                pass
            case _:
                assert_never(record)
        batch.result.has_changed = True

    def _note_sender(self, batch: _Batch, sender: Sender) -> None:
        """Note a sender; it is refused here, and written once for the whole batch."""
        who = (sender.topics, sender.camera, sender.is_retained)
        if who not in batch.seen:
            self._last_seen.note(sender)
        batch.seen[who] = sender

    def _claim(self, batch: _Batch, sender: Sender, stream: str, seq: int) -> int:
        """Return the row of a stream, which belongs to its first sender.

        Raises:
            RecordRefusedError: It belongs to another station, or the station cannot
                have given this position.
        """
        key = (sender.topics, stream)
        if key not in batch.streams:
            row = self._ranges.claim(sender.topics, stream)
            expected = self._ranges.highest_expected(row, sender.received_ms)
            batch.streams[key] = _Stream(row, expected)
        known = batch.streams[key]
        if seq > known.highest_expected:
            detail = (
                f"position {seq} is too far beyond the highest one of its stream: no "
                f"more than {known.highest_expected} is expected by now"
            )
            raise RecordRefusedError(RejectionReason.FAR_AHEAD, detail)
        return known.row

    def _check_room(self, sender: Sender) -> None:
        """Refuse what a station adds that holds the most in a full history."""
        if sender.topics == self._room.waiting:
            detail = "the history is nearly full, and this station holds the most"
            raise RecordRefusedError(RejectionReason.NO_ROOM, detail)

    def _is_known(self, record: Queued) -> bool:
        """Return whether an event is in the history; see ``KnownEvents.has``."""
        received_ms = self._retention.stamp(record.sender.received_ms)
        return self._known.has(record, received_ms)

    def _write_alert(self, batch: _Batch, record: Alert) -> None:
        """Write an alert once; it is complete when its picture is stored."""
        data, event_id = record.event.data, record.event.id
        stream_id = self._claim(batch, record.sender, data.stream, data.seq)
        if self._is_known(record):
            batch.result.duplicates += 1
            if data.thumbnail_sha256 is None:
                self._forget_image(event_id)
        else:
            self._check_room(record.sender)
            batch.result.alerts.append(self._insert_alert(record, stream_id))
        self._unannounced.announce(record.sender.topics, event_id)
        # Sent again without its picture: the station has evicted it.
        if data.thumbnail_sha256 is None or self._has_image(
            event_id, data.thumbnail_sha256
        ):
            batch.complete[stream_id].add((data.seq, record.digest))

    def _insert_alert(self, record: Alert, stream_id: int) -> int:
        """Write a new alert and return its cursor."""
        data, event_id = record.event.data, record.event.id
        (n,) = self._db.execute(
            "INSERT INTO alerts (id, stream_id, seq, site, line, station, camera,"
            " happened_ms, received_ms, thumbnail_sha256, event, digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING n",
            (
                *(event_id, stream_id, data.seq, data.site, data.line, data.station),
                *(data.camera, record.happened_ms),
                self._retention.stamp(record.sender.received_ms),
                *(data.thumbnail_sha256, record.event.model_dump_json()),
                record.digest,
            ),
        ).fetchone()
        self._db.executemany(
            "INSERT INTO detections VALUES (?, ?, ?, ?, ?)",
            [
                (n, position, record.happened_ms, each.label, each.score)
                for position, each in enumerate(data.detections)
            ],
        )
        return int(n)

    def _forget_image(self, event_id: str) -> None:
        """Mark an alert complete without the picture, which its station has evicted."""
        self._db.execute(
            "UPDATE alerts SET thumbnail_sha256 = NULL WHERE id = ? AND NOT EXISTS"
            " (SELECT 1 FROM images WHERE event_id = id AND sha256 = thumbnail_sha256)",
            (event_id,),
        )

    def _has_image(self, event_id: str, sha256: str) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM images WHERE event_id = ? AND sha256 = ?", (event_id, sha256)
        )
        return found.fetchone() is not None

    def _write_verdict_or_loss(self, batch: _Batch, record: PartVerdict | Loss) -> None:
        data = record.event.data
        stream_id = self._claim(batch, record.sender, data.stream, data.seq)
        if self._is_known(record):
            batch.result.duplicates += 1
        else:
            self._check_room(record.sender)
            if isinstance(record, PartVerdict):
                self._insert_verdict(record, stream_id)
            else:
                self._insert_loss(record, stream_id)
        batch.complete[stream_id].add((data.seq, record.digest))

    def _insert_verdict(self, record: PartVerdict, stream_id: int) -> None:
        data = record.event.data
        received_ms = self._retention.stamp(record.sender.received_ms)
        self._db.execute(
            "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(record.event.id, stream_id, data.seq, data.site, data.line),
                *(data.station, data.camera, record.happened_ms, received_ms),
                *(data.verdict, record.event.model_dump_json(), record.digest),
            ),
        )

    def _insert_loss(self, record: Loss, stream_id: int) -> None:
        lost = record.event.data
        received_ms = self._retention.stamp(record.sender.received_ms)
        self._db.execute(
            "INSERT INTO losses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(record.event.id, stream_id, lost.seq, lost.kind, lost.first_seq),
                *(lost.last_seq, lost.count, received_ms, record.digest),
            ),
        )

    def _write_image(self, batch: _Batch, record: Image) -> None:
        """Write a picture, and complete its alert if it waits for the picture."""
        stream, _, seq = record.event_id.rpartition(":")
        if not stream or not seq.isdecimal():
            raise RecordRefusedError(
                RejectionReason.TOPIC, "a picture whose id is no event's"
            )
        self._claim(batch, record.sender, stream, int(seq))
        self._check_room(record.sender)
        received_ms = self._retention.stamp(record.sender.received_ms)
        # Only a picture that its alert did not announce may be replaced.
        self._db.execute(
            "INSERT INTO images VALUES (?, ?, ?, ?) ON CONFLICT (event_id) DO UPDATE"
            " SET sha256 = excluded.sha256, received_ms = excluded.received_ms,"
            " jpeg = excluded.jpeg WHERE NOT EXISTS (SELECT 1 FROM alerts"
            " WHERE id = event_id AND thumbnail_sha256 = images.sha256)",
            (record.event_id, record.sha256, received_ms, record.jpeg),
        )
        waiting = self._db.execute(
            "SELECT stream_id, seq, n, digest FROM alerts"
            " WHERE id = ? AND thumbnail_sha256 = ?",
            (record.event_id, record.sha256),
        ).fetchone()
        if waiting is not None:
            stream_id, position, n, digest = waiting
            batch.complete[stream_id].add((position, digest))
            batch.result.completed.append(n)
        elif not self._has_alert(record.event_id):
            self._unannounced.add(record.sender.topics, record.event_id)

    def _has_alert(self, event_id: str) -> bool:
        found = self._db.execute("SELECT 1 FROM alerts WHERE id = ?", (event_id,))
        return found.fetchone() is not None


def _joined(parts: Iterable[Committed]) -> Committed:
    whole = Committed()
    for part in parts:
        whole.alerts += part.alerts
        whole.completed += part.completed
        whole.duplicates += part.duplicates
        whole.acks += part.acks
        whole.rejections += part.rejections
        whole.forgotten += part.forgotten
        whole.has_changed |= part.has_changed
    return whole
