"""Writes the history: many messages in one commit, each event at most once.

A station keeps an event until the collector acknowledged it, so the collector may
acknowledge only what is committed here. An alert that announces a picture counts as
complete only when that very picture (by its sha256) is stored too.

Per stream the complete events are kept as ranges of ``seq``: gaps are visible, and
the acknowledgement can be repeated at any time, also for events that retention has
removed since.

Everything that a batch needs to know is read at its start, in one query for each kind,
and everything new is written at its end, in one statement for each table.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import SQLAlchemyError

from dashboard.config import KeptDays
from dashboard.history.acknowledged_ranges import (
    AcknowledgedRanges,
    RecordRefusedError,
    Stream,
)
from dashboard.history.database import Database, insert_new, is_bad_row, reason_of
from dashboard.history.known_events import KnownEvent, KnownEvents
from dashboard.history.last_seen import LastSeen
from dashboard.history.line_clocks import LineClocks
from dashboard.history.new_rows import NewRows
from dashboard.history.retention import Retention
from dashboard.history.room import Room
from dashboard.history.tables.received import alerts, meta
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


class _Batch:
    """The state of one transaction.

    Attributes:
        complete: Position and digest of events that may be acknowledged, by stream.
            The digest is None for an alert that a version without digests has written
            and that a picture completes: it is acknowledged when it is sent again.
        expected: The highest position that is accepted of each stream.
        senders: Last message of each sender.
        pictured: Alerts whose picture has arrived.
    """

    def __init__(self, connection: Connection, records: Sequence[Record]) -> None:
        ids, names = set(), set()
        for record in records:
            if isinstance(record, Image):
                ids.add(record.event_id)
                names.add(record.event_id.rpartition(":")[0])
            elif not isinstance(record, State):
                ids.add(record.event.id)
                names.add(record.event.data.stream)
        self.connection = connection
        self.ranges = AcknowledgedRanges(connection, names)
        self.known = KnownEvents(connection, ids)
        self.rows = NewRows()
        self.result = Committed()
        self.complete: defaultdict[Stream, set[tuple[int, str | None]]]
        self.complete = defaultdict(set)
        self.expected: dict[Stream, int] = {}
        self.senders: dict[tuple[StationTopics, str, bool], Sender] = {}
        self.states: list[State] = []
        self.pictured: list[KnownEvent] = []


class Store:
    """The writer of the history in this process. Used by one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_seen = LastSeen()
        self._room = Room(database)
        self._clocks = LineClocks(database)
        with database.read() as connection:
            self._retention = Retention(connection)
            self._unannounced = UnannouncedPictures(connection)

    def remember(self, key: str, value: str) -> str:
        """Store a value under a name unless one is stored; return the stored one."""
        with self._database.write() as connection:
            connection.execute(insert_new(meta), {"key": key, "value": value})
            stored = select(meta.c.value).where(meta.c.key == key)
            return str(connection.execute(stored).scalar_one())

    def record(self, records: Sequence[Record]) -> Committed:
        """Write records in one commit.

        When this returns, everything in ``acks`` is on the disk. A record that the
        database cannot hold is skipped and reported; it never blocks the others.

        Args:
            records: In the order of their arrival.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The history is full, locked, damaged or out
                of reach; nothing was written.
        """
        self._database.require_short_log()
        try:
            return self._commit(records)
        except (SQLAlchemyError, OverflowError, UnicodeEncodeError) as exc:
            if isinstance(exc, SQLAlchemyError) and not is_bad_row(exc):
                raise
            if len(records) > 1:
                return _joined(self.record([record]) for record in records)
            topic = records[0].sender.topics.root
            reason = reason_of(exc) if isinstance(exc, SQLAlchemyError) else str(exc)
            rejection = Rejection(RejectionReason.UNSTORABLE, topic, reason)
            return Committed(rejections=[rejection])

    def prune(self, now_ms: int, ran_ms: int, kept: KeptDays) -> int:
        """Remove one chunk of rows that are too old; see ``Retention.prune``.

        Args:
            now_ms: Wall clock of the collector, UTC.
            ran_ms: Time by the monotonic clock since the last call, or the start.

        Returns:
            Number of removed rows.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It cannot be written now.
        """
        with self._database.write() as connection:
            removed = self._retention.prune(connection, now_ms, ran_ms, kept)
            return removed + self._unannounced.prune(connection)

    def is_short_of_room(self) -> bool:
        """Return whether ``make_room`` is to be called before more is written.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It cannot be read now.
        """
        return self._room.is_short()

    def make_room(self) -> int:
        """Remove pictures from a nearly full history; see ``Room.make``.

        Returns:
            Number of removed pictures.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It cannot be written now.
        """
        with self._database.write() as connection:
            return self._room.make(connection)

    def _commit(self, records: Sequence[Record]) -> Committed:
        forgotten = self._last_seen.forgotten
        self._clocks.measure(records)
        with self._database.write() as connection:
            batch = _Batch(connection, records)
            for record in records:
                try:
                    self._write(batch, self._clocks.corrected(record))
                except RecordRefusedError as exc:
                    topic = record.sender.topics.root
                    rejection = Rejection(exc.reason, topic, exc.detail)
                    batch.result.rejections.append(rejection)
            batch.result.alerts = batch.rows.flush(connection)
            self._unannounced.limit(connection)
            self._last_seen.note(connection, batch.senders.values(), batch.states)
            self._clocks.write(connection)
            _acknowledge(batch, records)
        self._clocks.confirm()
        batch.result.completed = [alert.n for alert in batch.pictured]
        batch.result.forgotten = self._last_seen.forgotten - forgotten
        return batch.result

    def _write(self, batch: _Batch, record: Record) -> None:
        """Add one record to the batch, unless its sender may not send it."""
        sender = record.sender
        if not isinstance(record, State):
            batch.senders[sender.topics, sender.camera, sender.is_retained] = sender
        match record:
            case Alert():
                self._write_alert(batch, record)
            case PartVerdict() | Loss():
                self._write_verdict_or_loss(batch, record)
            case Image():
                self._write_image(batch, record)
            case State():
                batch.states.append(record)
            case _:
                assert_never(record)
        batch.result.has_changed = True

    def _claim(self, batch: _Batch, sender: Sender, name: str, seq: int) -> Stream:
        """Return a stream, which belongs to its first sender.

        Raises:
            RecordRefusedError: It belongs to another station, or the station cannot
                have given this position.
        """
        stream = batch.ranges.claim(sender.topics, name)
        if stream not in batch.expected:
            highest = batch.ranges.highest_expected(stream, sender.received_ms)
            batch.expected[stream] = highest
        if seq > batch.expected[stream]:
            detail = (
                f"position {seq} is too far beyond the highest one of its stream: no "
                f"more than {batch.expected[stream]} is expected by now"
            )
            raise RecordRefusedError(RejectionReason.FAR_AHEAD, detail)
        return stream

    def _check_room(self, sender: Sender) -> None:
        """Refuse what a station adds that holds the most in a full history."""
        if sender.topics == self._room.waiting:
            detail = "the history is nearly full, and this station holds the most"
            raise RecordRefusedError(RejectionReason.NO_ROOM, detail)

    def _stamp(self, record: Record) -> int:
        return self._retention.stamp(record.sender.received_ms)

    def _write_alert(self, batch: _Batch, record: Alert) -> None:
        """Write an alert once; it is complete when its picture is stored."""
        data, event_id = record.event.data, record.event.id
        stream = self._claim(batch, record.sender, data.stream, data.seq)
        if batch.known.has(record, self._stamp(record)):
            batch.result.duplicates += 1
            _announce_again(batch, event_id, data.thumbnail_sha256)
        else:
            self._check_room(record.sender)
            known = batch.known.add(record)
            batch.rows.add_alert(record, known, stream.row, self._stamp(record))
        self._unannounced.announce(record.sender.topics, event_id)
        alert = batch.known.alert(event_id)
        announced = alert.thumbnail_sha256 if alert is not None else None
        if announced is None or batch.known.pictures.get(event_id) == announced:
            batch.complete[stream].add((data.seq, record.digest))

    def _write_verdict_or_loss(self, batch: _Batch, record: PartVerdict | Loss) -> None:
        data = record.event.data
        stream = self._claim(batch, record.sender, data.stream, data.seq)
        received_ms = self._stamp(record)
        if batch.known.has(record, received_ms):
            batch.result.duplicates += 1
        else:
            self._check_room(record.sender)
            batch.known.add(record)
            if isinstance(record, PartVerdict):
                batch.rows.add_verdict(record, stream.row, received_ms)
            else:
                batch.rows.add_loss(record, stream.row, received_ms)
        batch.complete[stream].add((data.seq, record.digest))

    def _write_image(self, batch: _Batch, record: Image) -> None:
        """Write a picture, and complete its alert if it waits for the picture."""
        event_id = record.event_id
        name, _, seq = event_id.rpartition(":")
        if not name or not seq.isdecimal():
            raise RecordRefusedError(
                RejectionReason.TOPIC, "a picture whose id is no event's"
            )
        stream = self._claim(batch, record.sender, name, int(seq))
        self._check_room(record.sender)
        alert, pictures = batch.known.alert(event_id), batch.known.pictures
        announced = alert.thumbnail_sha256 if alert is not None else None
        # Only a picture that its alert did not announce may be replaced.
        if announced is None or pictures.get(event_id) != announced:
            batch.rows.add_image(record, self._stamp(record))
            pictures[event_id] = record.sha256
        if alert is None:
            self._unannounced.add(record.sender.topics, event_id)
        elif announced == record.sha256:
            batch.complete[stream].add((alert.seq, alert.digest))
            batch.pictured.append(alert)


def _announce_again(batch: _Batch, event_id: str, announced: str | None) -> None:
    """Note which picture an alert has that was sent again.

    A station sends it again without its picture where it has evicted it, and with a
    smaller one where the broker takes no larger one. A picture that has come stays.

    Args:
        announced: SHA-256 of the picture; None: without one.
    """
    alert = batch.known.alert(event_id)
    if alert is None or alert.thumbnail_sha256 == announced:
        return
    here = batch.known.pictures.get(event_id)
    if here is not None and here == alert.thumbnail_sha256:
        return
    if alert.thumbnail_sha256 is None and here != announced:
        return  # complete without one: it must not wait again
    alert.thumbnail_sha256 = announced
    if event_id in batch.rows.alerts:  # both came in this batch
        batch.rows.alerts[event_id].row["thumbnail_sha256"] = announced
        return
    batch.connection.execute(
        update(alerts).where(alerts.c.id == event_id).values(thumbnail_sha256=announced)
    )


def _acknowledge(batch: _Batch, records: Sequence[Record]) -> None:
    """Note the complete events, and add their acknowledgements to the result."""
    if not batch.complete:
        return
    received_ms = max(each.sender.received_ms for each in records)
    seqs = {
        stream: {seq for seq, _ in events} for stream, events in batch.complete.items()
    }
    batch.ranges.add(seqs, received_ms)
    for stream, events in batch.complete.items():
        proven = [(seq, digest) for seq, digest in events if digest]
        batch.result.acks.extend(batch.ranges.acknowledgements(stream, proven))


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
