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
from dashboard.history.last_seen import LastSeen
from dashboard.history.retention import Retention
from dashboard.history.schema import BUSY_TIMEOUT_S, open_for_writing
from dashboard.history.unannounced import UnannouncedPictures
from dashboard.messages import (
    Alert,
    Image,
    Loss,
    PartVerdict,
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


@dataclass(slots=True)
class _Batch:
    """The state of one transaction.

    Attributes:
        complete: Events that may be acknowledged, by stream.
        streams: Rows of the streams that were read.
        seen: Last message of each sender.
    """

    result: Committed = field(default_factory=Committed)
    complete: defaultdict[int, set[int]] = field(
        default_factory=lambda: defaultdict(set)
    )
    streams: dict[tuple[StationTopics, str], int] = field(default_factory=dict)
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
        self._last_seen = LastSeen(self._db)
        self._retention = Retention(self._db)
        self._unannounced = UnannouncedPictures(self._db)

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
            for stream_id, seqs in batch.complete.items():
                self._ranges.add(stream_id, seqs)
                acks = self._ranges.acknowledgements(stream_id, seqs)
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

    def _claim(self, batch: _Batch, topics: StationTopics, stream: str) -> int:
        """Return the row of a stream, which belongs to its first sender."""
        key = (topics, stream)
        if key not in batch.streams:
            batch.streams[key] = self._ranges.claim(topics, stream)
        return batch.streams[key]

    def _write_alert(self, batch: _Batch, record: Alert) -> None:
        """Write an alert once; it is complete when its picture is stored."""
        data, event_id = record.event.data, record.event.id
        stream_id = self._claim(batch, record.sender.topics, data.stream)
        new = self._db.execute(
            "INSERT INTO alerts (id, stream_id, seq, site, line, station, camera,"
            " happened_ms, received_ms, thumbnail_sha256, event)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO NOTHING RETURNING n",
            (
                *(event_id, stream_id, data.seq, data.site, data.line, data.station),
                *(data.camera, record.happened_ms),
                self._retention.stamp(record.sender.received_ms),
                *(data.thumbnail_sha256, record.event.model_dump_json()),
            ),
        ).fetchone()
        if new is None:
            batch.result.duplicates += 1
            if data.thumbnail_sha256 is None:
                self._forget_image(event_id)
        else:
            batch.result.alerts.append(new[0])
            self._db.executemany(
                "INSERT INTO detections VALUES (?, ?, ?, ?, ?)",
                [
                    (new[0], position, record.happened_ms, each.label, each.score)
                    for position, each in enumerate(data.detections)
                ],
            )
        self._unannounced.announce(record.sender.topics, event_id)
        # Sent again without its picture: the station has evicted it.
        if data.thumbnail_sha256 is None or self._has_image(
            event_id, data.thumbnail_sha256
        ):
            batch.complete[stream_id].add(data.seq)

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
        stream = record.event.data.stream
        stream_id = self._claim(batch, record.sender.topics, stream)
        received_ms = self._retention.stamp(record.sender.received_ms)
        if isinstance(record, PartVerdict):
            data = record.event.data
            changes = self._db.execute(
                "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                (
                    *(record.event.id, stream_id, data.seq, data.site, data.line),
                    *(data.station, data.camera, record.happened_ms, received_ms),
                    *(data.verdict, record.event.model_dump_json()),
                ),
            )
        else:
            lost = record.event.data
            changes = self._db.execute(
                "INSERT INTO losses VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                (
                    *(record.event.id, stream_id, lost.seq, lost.kind),
                    *(lost.first_seq, lost.last_seq, lost.count, received_ms),
                ),
            )
        batch.result.duplicates += changes.rowcount == 0
        batch.complete[stream_id].add(record.event.data.seq)

    def _write_image(self, batch: _Batch, record: Image) -> None:
        """Write a picture, and complete its alert if it waits for the picture."""
        stream, _, seq = record.event_id.rpartition(":")
        if not stream or not seq.isdecimal():
            raise RecordRefusedError(
                RejectionReason.TOPIC, "a picture whose id is no event's"
            )
        self._claim(batch, record.sender.topics, stream)
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
            "SELECT stream_id, seq, n FROM alerts"
            " WHERE id = ? AND thumbnail_sha256 = ?",
            (record.event_id, record.sha256),
        ).fetchone()
        if waiting is not None:
            batch.complete[waiting[0]].add(waiting[1])
            batch.result.completed.append(waiting[2])
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
