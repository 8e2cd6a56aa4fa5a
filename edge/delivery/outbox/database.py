"""The outbox's SQLite file: its tables, and how it is read and written.

WAL with ``synchronous=FULL``: what was committed survives a power cut. ``seq`` is
AUTOINCREMENT: a plain primary key would start again at 1 when the table is empty, and
the collector would ignore new events as duplicates. The epoch is random and created
with the file, so that after the loss of a disk a new stream starts and no position is
repeated.
"""

import os
import secrets
import shutil
import sqlite3
import sys
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edge.delivery.outbox.events import EventKind, NewEvent, QueuedEvent
from models.errors import DeliveryError

LAYOUT_VERSION = 1
BUSY_TIMEOUT_S = 5.0
SMALLEST_BYTES = 1 << 20  # lower bound of the largest size, on a full disk
LOG_PAGES = 1000  # SQLite's default; less on a small disk
LOG_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
MAGIC = b"SQLite format 3\0"
HEADER_BYTES, SCHEMA_FORMAT = 100, 4
LOG_KEPT_BYTES = 4 << 20  # a larger write-ahead log is truncated to this
_LAYOUT = """
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    topic TEXT NOT NULL,
    time TEXT NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    image_checksum INTEGER NOT NULL,
    image BLOB
);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_COLUMNS = "seq, sent, checksum, image_checksum, image, kind, topic, time, data"


class OutboxDatabase:
    """One open connection to the file; used by one thread at a time.

    Args:
        path: The file; created if it does not exist.
        max_bytes: Largest size, without the write-ahead log (some 4 MB more).

    Attributes:
        max_pages: Largest size in pages.
        batch_max_bytes: Most bytes of events that one transaction should write.

    Raises:
        sqlite3.Error: It cannot be opened, or is damaged.
        DeliveryError: It was written by a newer version.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        _check_header(path)
        self.connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self.connection.text_factory = _decode
        try:
            self._prepare(path)
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self, path: Path) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        # Debian's default is to write zeros over deleted events: twice the writing, and
        # a log as large as what is evicted.
        self.connection.execute("PRAGMA secure_delete = OFF")
        self._limit_size()
        self.connection.execute(f"PRAGMA journal_size_limit = {LOG_KEPT_BYTES}")
        version = self._number("PRAGMA user_version")
        tables = self._number("SELECT count(*) FROM sqlite_master")
        if version != (LAYOUT_VERSION if tables else 0):
            if self.meta("layout") != str(version):
                raise sqlite3.DatabaseError(f"its header has layout {version}")
            raise DeliveryError(
                f"outbox {path}: its layout {version} is newer than this runtime's "
                f"({LAYOUT_VERSION}).",
                why="A newer Graftline wrote it.",
                fix="Update Graftline, or move the file away (its events are lost).",
            )
        if version == 0:
            with Transaction(self.connection):
                for statement in filter(str.strip, _LAYOUT.split(";")):
                    self.connection.execute(statement)
                self.start_stream()
                self.connection.execute(f"PRAGMA user_version = {LAYOUT_VERSION}")

    def check(self) -> None:
        """Read the whole structure.

        Raises:
            sqlite3.DatabaseError: It is damaged.
        """
        verdict = self.connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        if not self.meta("epoch"):
            raise sqlite3.DatabaseError("the epoch is missing")

    def shrink_to_disk(self) -> None:
        """Truncate the log, and lower the largest size to what the disk has.

        Raises:
            sqlite3.Error: The log cannot be written into the file.
        """
        with suppress(OSError):
            self._drop_unfinished()
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._limit_size()

    def _drop_unfinished(self) -> None:
        """Cut off what a transaction that failed has left at the end of the log.

        Otherwise it holds the space that writing the log into the file needs.

        Source:
            https://www.sqlite.org/walformat.html, section 2.1: the number of valid
            frames, in the byte order of the machine, is at offset 16 of the index.
        """
        index, log = (
            self._path.with_name(f"{self._path.name}{end}") for end in ("-shm", "-wal")
        )
        with Transaction(self.connection):  # without another writer
            with index.open("rb") as file:
                frames = int.from_bytes(file.read(20)[16:], sys.byteorder)
            frame_bytes = FRAME_HEADER_BYTES + self._number("PRAGMA page_size")
            end_bytes = LOG_HEADER_BYTES + frames * frame_bytes
            if log.stat().st_size > end_bytes:
                os.truncate(log, end_bytes)

    def _limit_size(self) -> None:
        """Set the largest size: the configured one, or less on a fuller disk.

        The log needs space as well, and SQLite can only write it into the file while
        the file may grow: if both filled the disk, nothing could be written again.
        """
        page_bytes = self._number("PRAGMA page_size")
        used_bytes = sum(
            each.stat().st_size
            for end in ("", "-wal")
            if (each := self._path.with_name(self._path.name + end)).exists()
        )
        room_bytes = used_bytes + shutil.disk_usage(self._path.parent).free
        # Half of the free space for the file, half for its log.
        limit = min(self._max_bytes, max(room_bytes // 2, SMALLEST_BYTES))
        pages = limit // page_bytes
        # The log may hold a quarter when a transaction starts, and needs half at most.
        self.batch_max_bytes = limit // 4
        self.max_pages = self._number(f"PRAGMA max_page_count = {pages}")
        self.connection.execute(
            f"PRAGMA wal_autocheckpoint = {min(LOG_PAGES, pages // 4)}"
        )

    @property
    def used_share(self) -> float:
        """Share of the largest size that is in use, 0..1."""
        used = self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")
        return used / self.max_pages

    @property
    def last_seq(self) -> int:
        """Highest position ever given; 0 in a new file."""
        return self._number(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'"
        )

    @property
    def depth(self) -> int:
        """Number of events."""
        return self._number("SELECT count(*) FROM event")

    def meta(self, name: str) -> str:
        """Return a kept value; empty if there is none."""
        row = self.connection.execute(
            "SELECT value FROM meta WHERE name = ?", (name,)
        ).fetchone()
        return str(row[0]) if row else ""

    def set_meta(self, name: str, value: str) -> None:
        """Keep a value."""
        self.connection.execute(
            "INSERT INTO meta VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def start_stream(self) -> None:
        """Start a new epoch at position 1; called while there are no events."""
        self.connection.execute("DELETE FROM meta")
        self.connection.execute("DELETE FROM sqlite_sequence WHERE name = 'event'")
        self.set_meta("layout", str(LAYOUT_VERSION))  # a header alone may be damaged
        self.set_meta("epoch", secrets.token_hex(8))

    def insert(self, first_seq: int, events: Sequence[NewEvent]) -> None:
        """Add events at consecutive positions, inside the caller's transaction."""
        self.connection.executemany(
            f"INSERT INTO event ({_COLUMNS})"  # noqa: S608 - our own column names
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (_row(seq, event) for seq, event in enumerate(events, first_seq)),
        )

    def delete(self, ranges: Iterable[tuple[int, int]]) -> int:
        """Delete inclusive ranges of positions and return the number of events."""
        deleted = 0
        for first, last in ranges:
            deleted += self.connection.execute(
                "DELETE FROM event WHERE seq BETWEEN ? AND ?", (first, last)
            ).rowcount
        return deleted

    def mark_sent(self, seqs: Iterable[int]) -> None:
        """Note that a broker has confirmed these positions."""
        self.connection.executemany(
            "UPDATE event SET sent = 1 WHERE seq = ?", ((seq,) for seq in seqs)
        )

    def read(self, after: int, limit: int, *, was_sent: bool) -> list[QueuedEvent]:
        """Return the first events beyond a position, in order.

        Args:
            after: Position.
            limit: Most events to return.
            was_sent: Return events that a broker has confirmed; false = unconfirmed
                ones.
        """
        rows = self.connection.execute(
            f"SELECT {_COLUMNS} FROM event"  # noqa: S608 - our own column names
            " WHERE seq > ? AND sent = ? ORDER BY seq LIMIT ?",
            (after, int(was_sent), limit),
        )
        return [_queued(row) for row in rows]

    @property
    def unsent(self) -> int:
        """Number of events that no broker has confirmed."""
        return self._number("SELECT count(*) FROM event WHERE sent = 0")

    def close(self) -> None:
        """Close the connection; uncommitted changes are lost."""
        self.connection.close()

    def _number(self, query: str) -> int:
        return int(self.connection.execute(query).fetchone()[0])


def _check_header(path: Path) -> None:
    """Check the fields that make SQLite reject a file, or open it read-only.

    Raises:
        sqlite3.DatabaseError: The header is not that of a file of this class.

    Source:
        https://www.sqlite.org/fileformat.html, section 1.3.
    """
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError:
        return  # it does not exist yet, or SQLite reports the reason better
    if not header:
        return
    write_version, read_version = header[18:20]
    schema_format = int.from_bytes(header[44:48], "big")
    is_ours = {write_version, read_version} <= {1, 2} and schema_format <= SCHEMA_FORMAT
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC) or not is_ours:
        raise sqlite3.DatabaseError("its header is damaged")


def _decode(text: bytes) -> str:
    """Return text of the file; the checksum finds damage in it."""
    return text.decode(errors="replace")


def _row(seq: int, event: NewEvent) -> tuple[Any, ...]:
    """Return an event as a row, in the order of ``_COLUMNS``."""
    content = (event.kind.value, event.topic, event.time, event.data)
    image = event.image
    return seq, 0, _checksum(*content), _checksum(image), image, *content


def _queued(row: tuple[Any, ...]) -> QueuedEvent:
    """Return a row as an event. The disk may have changed any byte of it."""
    seq, sent, checksum, image_checksum, image, *content = row
    if checksum != _checksum(*content):
        damaged = NewEvent(EventKind.ALERT, "", "", b"")
        return QueuedEvent(seq, damaged, was_sent=bool(sent), is_whole=False)
    kind, topic, time, data = content
    if image_checksum != _checksum(image):
        image = None
    event = NewEvent(EventKind(kind), topic, time, data, image)
    return QueuedEvent(seq, event, was_sent=bool(sent))


def _checksum(*values: object) -> int:
    """Return a checksum of values of a row, of any type."""
    return zlib.crc32(
        b"\0".join(
            value if isinstance(value, bytes) else str(value).encode()
            for value in values
        )
    )


class Transaction:
    """``BEGIN IMMEDIATE`` … ``COMMIT``; rolled back when the block raises."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Self:
        self._connection.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                # The first error is the one to report.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
