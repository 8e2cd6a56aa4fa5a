"""Commits groups to the outbox's file, and copes when the disk does not.

A full file sheds and tries again; a damaged one is put aside for a new stream; any
other fault closes it, and the group is tried again later. A commit whose outcome is
unknown (the disk failed while it synchronized) is looked up before it is repeated:
an event is never reported on disk when it is not, and never written twice.
"""

import logging
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from edge.delivery.outbox.events import NewEvent
from edge.delivery.outbox.eviction import (
    FULL_SHARE,
    ROOMY_SHARE,
    ROWS_PER_COMMIT,
    Eviction,
    make_room,
)
from edge.delivery.outbox.outbox_file import OutboxFile, Transaction
from edge.delivery.outbox.recovery import claim, is_damage, open_outbox, quarantine
from edge.delivery.outbox.write_queue import WriteBatch
from models.errors import DeliveryError, GraftlineError
from models.topics import StationTopics

COLLECTOR_KNOWN = "collector_known"
IN_NEED_SHARE = 0.5  # down to this when even the last fifth was not enough
logger = logging.getLogger(__name__)


class OutboxWriter:
    """The one connection that writes. Used by one thread at a time.

    Args:
        path: The SQLite file.
        topics: Of the station, which the file is to belong to.
        max_bytes: Its largest size.

    Attributes:
        epoch: Random name of the file's life; a new one after damage.
        last_seq: Highest committed position.
        rows: Events in the file.
        is_failing: The disk takes nothing at the moment.
        collector_known: The file remembers that there is a collector.
        acknowledged: Events deleted because a collector has them.
        forget_sent: See ``shedding.make_room``.
    """

    def __init__(self, path: Path, topics: StationTopics, max_bytes: int) -> None:
        self.epoch = ""
        self.last_seq = 0
        self.rows = 0
        self.is_failing = False
        self.collector_known = False
        self.acknowledged = 0
        self.forget_sent = False
        self._path, self._topics, self._max_bytes = path, topics, max_bytes
        self._file: OutboxFile | None = None
        self._attempted = 0  # events of a commit whose outcome is unknown

    @property
    def stream(self) -> str:
        """``<station>-<epoch>``, known once it is open; new after damage."""
        return f"{self._topics.station}-{self.epoch}"

    def open(self) -> None:
        """Open the file; a damaged one is put aside.

        Raises:
            ConfigError: Events of another station wait in it.
            DeliveryError: It cannot be opened.
        """
        file = open_outbox(self._path, self._max_bytes)
        try:
            claim(file, self._path, self._topics)
            epoch, last_seq, rows = file.meta("epoch"), file.last_seq, file.depth
            self.collector_known = bool(file.meta(COLLECTOR_KNOWN))
            if self._attempted:
                file.connection.execute("PRAGMA wal_checkpoint(FULL)")
        except BaseException:
            file.close()
            raise
        if epoch != self.epoch:
            self._attempted, self.last_seq = 0, last_seq
        self.epoch, self.rows, self._file = epoch, rows, file

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def commit(self, group: WriteBatch) -> int | None:
        """Write a group.

        Args:
            group: What; acknowledgements of another stream than the file's are
                dropped: they speak of events that are gone.

        Returns:
            Position of its first event; none if the disk took nothing.

        Raises:
            sqlite3.Error: The group itself cannot be written, on any disk.
        """
        try:
            first = self._commit_or_shed(group)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError):
            raise
        except (sqlite3.DatabaseError, GraftlineError) as exc:
            self._fail(exc)
            return None
        if self.is_failing:
            logger.warning("outbox_back path=%s events=%d", self._path, self.rows)
            self.is_failing = False
        return first

    def check(self) -> None:
        """Open the file anew, and put it aside if it is damaged.

        The connection's own memory would hide what the disk has lost.
        """
        self.close()
        try:
            self.open()
        except (sqlite3.DatabaseError, GraftlineError) as exc:
            self._fail(exc)

    def _commit_or_shed(self, group: WriteBatch) -> int:
        """Write a group, with an emergency shedding if the file is full."""
        if self._file is None:
            self.open()
        file = self._opened()
        attempted, self._attempted = self._attempted, 0
        if attempted and file.last_seq >= self.last_seq + attempted:
            self.rows = file.depth  # the commit had succeeded after all
        else:
            self.rows = self._write(file, group)
        first, self.last_seq = self.last_seq + 1, file.last_seq
        return first

    def _write(self, file: OutboxFile, group: WriteBatch) -> int:
        """Write a group; in need, fold the log, and then shed what must go.

        Raises:
            sqlite3.Error: Not even then; the outcome of a commit may be unknown.
        """
        try:
            return self._transact(file, group, FULL_SHARE, ROOMY_SHARE, ROWS_PER_COMMIT)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_FULL:
                self._attempted = len(group.puts)
                raise
        try:
            file.meet_full_disk()
            return self._transact(file, group, 0, IN_NEED_SHARE, None)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_FULL:
                self._attempted = len(group.puts)
            raise

    def _transact(
        self,
        file: OutboxFile,
        group: WriteBatch,
        full_share: float,
        roomy_share: float,
        max_rows: int | None,
    ) -> int:
        """Write a group in one transaction and return how many events there are.

        Above ``full_share`` of the largest size room is made first, down to
        ``roomy_share`` or by ``max_rows`` events; the loss records come after the
        group's own events.
        """
        with Transaction(file.connection):
            deleted = file.delete(group.acknowledged_in(self.stream))
            file.mark_sent(group.confirmed_in(self.stream))  # of those that are left
            rows = self.rows - deleted
            if group.collector_seen:
                file.set_meta(COLLECTOR_KNOWN, "yes")
            events = [event for event, _ in group.puts]
            events += _records_of(group.lost)
            if group.puts and file.used_share > full_share:
                events += self._shed(file, roomy_share, max_rows)
                rows = file.depth
            file.insert(file.last_seq + 1, events)
        self.acknowledged += deleted
        return rows + len(events)

    def _shed(
        self, file: OutboxFile, roomy_share: float, max_rows: int | None
    ) -> list[NewEvent]:
        """Make room and return the loss records."""
        shed = make_room(
            file,
            forget_sent=self.forget_sent,
            down_to_share=roomy_share,
            max_rows=max_rows,
        )
        for lost in shed:
            logger.error(
                "outbox_shed kind=%s count=%d first_seq=%d last_seq=%d path=%s",
                *(lost.kind, lost.count, lost.first_seq, lost.last_seq, self._path),
            )
        now = datetime.now(UTC)
        return [lost.record(now) for lost in shed]

    def _fail(self, error: sqlite3.DatabaseError | GraftlineError) -> None:
        """Close the file after a fault, and put it aside if it is damaged."""
        if not self.is_failing:
            logger.error("outbox_failing path=%s reason=%s", self._path, error)
        self.is_failing = True
        self.close()
        if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
            try:
                quarantine(self._path, str(error))
            except DeliveryError as exc:
                logger.exception("outbox_not_put_aside reason=%s", exc.why)

    def _opened(self) -> OutboxFile:
        if self._file is None:
            raise sqlite3.OperationalError("the outbox is closed")
        return self._file


def _records_of(lost: Mapping[str, tuple[int, bytes]]) -> list[NewEvent]:
    """Return the loss records of events that never had a position."""
    now = datetime.now(UTC)
    return [
        Eviction(kind, 0, 0, count, data).record(now)
        for kind, (count, data) in lost.items()
    ]
