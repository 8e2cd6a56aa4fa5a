"""Commits batches to the outbox's database, and recovers from faults of the disk.

If the database is full, events are evicted and the write is repeated; a batch that is
still too large is written in halves. If it is damaged, it is renamed and a new stream
starts. After any other fault it is closed, and the batch is tried again later. A commit
whose outcome is unknown (the disk failed while it synchronized) is checked before it is
repeated: an event is never reported as written when it is not, and never written twice.
"""

import logging
import sqlite3
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from edge.delivery.outbox.database import OutboxDatabase, Transaction
from edge.delivery.outbox.events import NewEvent
from edge.delivery.outbox.eviction import (
    FULL_SHARE,
    ROOMY_SHARE,
    ROWS_PER_COMMIT,
    Eviction,
    make_room,
)
from edge.delivery.outbox.recovery import claim, is_damage, open_outbox, quarantine
from edge.delivery.outbox.write_queue import WriteBatch
from models.counted import agreeing, counted
from models.errors import DeliveryError, GraftlineError
from models.topics import StationTopics

COLLECTOR_KNOWN = "collector_known"
EMERGENCY_SHARE = 0.5  # down to this when even the last fifth was not enough
# One transaction needs at most so many pages in the log, whose space is short as well.
EMERGENCY_ROWS = 100
logger = logging.getLogger(__name__)


class OutboxWriter:
    """The one connection that writes. Used by one thread at a time.

    Args:
        topics: MQTT topics of the station that owns the file.

    Attributes:
        epoch: Random name of this file; a new one after damage.
        last_seq: Highest committed position.
        rows: Events in the file.
        is_failing: The last attempt to write failed.
        needs_less: The last batch was too large for the disk; half of it may fit.
        collector_known: A collector has answered to this file's stream.
        acknowledged: Events deleted because a collector has them.
        moved: That the file was moved or deleted under the writer, and how many events
            in it are not delivered; empty = it was not.
        shed: Events and pictures that were evicted since the start.
        shed_s: When the last one was, monotonic clock.
    """

    def __init__(self, path: Path, topics: StationTopics, max_bytes: int) -> None:
        self.epoch = ""
        self.last_seq = 0
        self.rows = 0
        self.is_failing = self.needs_less = False
        self.collector_known = False
        self.acknowledged = 0
        self.moved, self.shed, self.shed_s = "", 0, 0.0
        self._file: tuple[int, int] | None = None  # device and inode
        self._path, self._topics, self._max_bytes = path, topics, max_bytes
        self._database: OutboxDatabase | None = None
        self._attempted = 0  # events of a commit whose outcome is unknown

    @property
    def stream(self) -> str:
        """``<station>-<epoch>``, known once it is open; new after damage."""
        return f"{self._topics.station}-{self.epoch}"

    def open(self) -> None:
        """Open the file; a damaged one is renamed and replaced.

        Raises:
            ConfigError: Events of another station wait in it.
            DeliveryError: It cannot be opened.
        """
        database = open_outbox(self._path, self._max_bytes)
        try:
            claim(database, self._path, self._topics)
            epoch, last_seq = database.meta("epoch"), database.last_seq
            rows = database.depth
            self.collector_known = bool(database.meta(COLLECTOR_KNOWN))
            if self._attempted:
                # Events that only the log holds must be synchronized before they are
                # counted.
                database.connection.execute("PRAGMA wal_checkpoint(FULL)")
        except BaseException:
            database.close()
            raise
        if epoch != self.epoch:
            self._attempted, self.last_seq = 0, last_seq
        self.epoch, self.rows, self._database = epoch, rows, database
        self._file = file_identity(self._path)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def commit(self, batch: WriteBatch, *, forget_sent: bool) -> int | None:
        """Write a batch.

        Args:
            batch: Acknowledgements of another stream than the file's are ignored: its
                events are not in the file.
            forget_sent: See ``eviction.make_room``.

        Returns:
            Position of its first event; None if nothing was written.

        Raises:
            sqlite3.Error: The batch itself cannot be written, on any disk.
        """
        self.needs_less = False
        try:
            first = self._commit(batch, forget_sent=forget_sent)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError):
            raise
        except (sqlite3.DatabaseError, GraftlineError) as exc:
            self.needs_less = _is_full(exc) and len(batch.puts) > 1
            if not self.needs_less:
                self._fail(exc)
            return None
        if self.is_failing and first is not None:
            logger.warning("outbox_back path=%s events=%d", self._path, self.rows)
            self.is_failing = False
        return first

    def check(self) -> None:
        """Open the file again, and replace it if it is damaged.

        The open connection's cache would hide what the disk has lost.
        """
        self.close()
        try:
            self.open()
        except (sqlite3.DatabaseError, GraftlineError) as exc:
            self._fail(exc)

    def _commit(self, batch: WriteBatch, *, forget_sent: bool) -> int | None:
        """Write a batch, unless it is too large or the last attempt has done so."""
        if self._database is not None and self._file != file_identity(self._path):
            self._note_moved()
            self.close()
        if self._database is None:
            self.open()
        database = self._opened()
        attempted, self._attempted = self._attempted, 0
        if attempted and database.last_seq >= self.last_seq + attempted:
            self.rows = database.depth  # that commit had succeeded after all
        elif len(batch.puts) > 1 and batch.size_bytes > database.batch_max_bytes:
            self.needs_less = True
            return None
        else:
            self.last_seq = database.last_seq
            self.rows = self._write(database, batch, forget_sent=forget_sent)
        # Loss records have positions too, after the batch's own events.
        first, self.last_seq = self.last_seq + 1, database.last_seq
        return first

    def _write(
        self, database: OutboxDatabase, batch: WriteBatch, *, forget_sent: bool
    ) -> int:
        """Write a batch; on a full disk evict more, and do without the last picture.

        Raises:
            sqlite3.Error: No attempt succeeded; the outcome of a commit may be unknown.
        """
        smaller = batch.without_picture()
        last = [smaller] if smaller else []
        for attempt, content in enumerate([batch, batch, *last], 1):
            written = 0  # events of the batch whose commit is tried
            try:
                if attempt == 2:
                    self._evict(database, forget_sent=forget_sent)
                written = len(batch.puts)
                return self._transact(database, content, forget_sent=forget_sent)
            except sqlite3.OperationalError as exc:
                if not _is_full(exc):
                    self._attempted = written
                    raise
                error = exc
        raise error

    def _evict(self, database: OutboxDatabase, *, forget_sent: bool) -> None:
        """Evict in transactions so small that each fits into a short log."""
        database.shrink_to_disk()
        connection = database.connection
        while database.used_share > EMERGENCY_SHARE:
            changes = connection.total_changes
            with Transaction(connection):
                evicted = make_room(
                    database,
                    forget_sent=forget_sent,
                    down_to_share=EMERGENCY_SHARE,
                    max_rows=EMERGENCY_ROWS,
                )
                is_done = connection.total_changes == changes
                database.insert(database.last_seq + 1, _records(evicted))
            self._note(evicted)
            self.last_seq, self.rows = database.last_seq, database.depth
            database.shrink_to_disk()
            if is_done:
                return

    def _transact(
        self,
        database: OutboxDatabase,
        batch: WriteBatch,
        *,
        forget_sent: bool,
    ) -> int:
        """Write a batch in one transaction and return how many events there are.

        In a file that is almost full events are evicted first; their loss records are
        written after the batch's own events.
        """
        with Transaction(database.connection):
            deleted = database.delete(batch.acknowledged_in(self.stream))
            # After the deletion: most confirmed events are acknowledged by now.
            database.mark_sent(batch.confirmed_in(self.stream))
            rows = self.rows - deleted
            if batch.collector_seen:
                database.set_meta(COLLECTOR_KNOWN, "yes")
            events = [event for event, _ in batch.puts]
            events += _records_of(batch.lost)
            evicted: list[Eviction] = []
            if batch.puts and database.used_share > FULL_SHARE:
                evicted = make_room(
                    database,
                    forget_sent=forget_sent,
                    down_to_share=ROOMY_SHARE,
                    max_rows=ROWS_PER_COMMIT,
                )
                events += _records(evicted)
                rows = database.depth
            database.insert(database.last_seq + 1, events)
        self._note(evicted)
        self.acknowledged += deleted
        return rows + len(events)

    def _note_moved(self) -> None:
        """Note that what is written now would be lost with the process."""
        self.moved = (
            f"{self._path} was moved or deleted while the daemon ran: "
            f"{counted(self.rows, 'event')} in it {agreeing(self.rows, 'is', 'are')} "
            "not delivered, a new file was started"
        )
        logger.error("outbox_moved path=%s events=%d", self._path, self.rows)

    def _note(self, evicted: list[Eviction]) -> None:
        """Log and count committed evictions."""
        for lost in evicted:
            logger.error(
                "outbox_shed kind=%s count=%d first_seq=%d last_seq=%d path=%s",
                *(lost.kind, lost.count, lost.first_seq, lost.last_seq, self._path),
            )
            self.shed, self.shed_s = self.shed + lost.count, time.monotonic()

    def _fail(self, error: sqlite3.DatabaseError | GraftlineError) -> None:
        """Close the file after a fault, and replace it if it is damaged."""
        if not self.is_failing:
            logger.error("outbox_failing path=%s reason=%s", self._path, error)
        self.is_failing = True
        self.close()
        if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
            try:
                quarantine(self._path, str(error))
            except DeliveryError as exc:
                logger.exception("outbox_not_put_aside reason=%s", exc.why)

    def _opened(self) -> OutboxDatabase:
        if self._database is None:
            raise sqlite3.OperationalError("the outbox is closed")
        return self._database


def _is_full(error: Exception) -> bool:
    """Return whether the disk, or the file's largest size, was too small."""
    code = getattr(error, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_FULL


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file; None where there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _records(evicted: Iterable[Eviction]) -> list[NewEvent]:
    """Return the loss records of evicted events."""
    now = datetime.now(UTC)
    return [lost.record(now) for lost in evicted]


def _records_of(lost: Mapping[str, tuple[int, bytes]]) -> list[NewEvent]:
    """Return the loss records of events that never had a position."""
    return _records(
        Eviction(kind, 0, 0, count, data) for kind, (count, data) in lost.items()
    )
