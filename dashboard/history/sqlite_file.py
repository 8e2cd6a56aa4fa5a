"""The history in an SQLite file: how it is created, opened, read and written.

The file is in WAL mode: readers never wait for the writer. ``synchronous=FULL``,
because committed events are acknowledged, and the station then deletes them.
"""

import errno
import logging
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from models.files import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    fsync_file,
    make_private_database,
    open_new,
    temporary_name,
)

BYTES_PER_MB = 1 << 20
READ_BUSY_LIMIT_S = 5.0
# A query that takes longer keeps the log from being written into the file.
READ_LIMIT_S = 30.0
READ_CHECK_STEPS = 200_000  # of SQLite's machine, about 2 ms, between two checks
# The part of the log in a limited history, which one batch may exceed.
LOG_SHARE = 8
LOG_MIN_BYTES = 1024 * 1024
LOG_MAX_BYTES = 32 * 1024 * 1024
LOG_USUAL_PAGES = 1000  # SQLite's own default
SHORTEN_EVERY_S = 2.0
SHORTEN_LIMIT_MS = 500

logger = logging.getLogger(__name__)


def create_file(path: Path) -> None:
    """Make the file, readable by this user only, unless it exists.

    Raises:
        OSError: It cannot be made.
        sqlite3.Error: It is no database.
    """
    path.parent.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
    make_private_database(path)
    connection = sqlite3.connect(path, timeout=READ_BUSY_LIMIT_S)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def reading_engine(path: Path, readers: int, readers_max: int) -> Engine:
    """Return connections that read one state in each transaction, and cannot write."""
    engine = _engine(path, "ro", READ_BUSY_LIMIT_S, readers, readers_max)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        raw = _driver_of(connection)
        end_s = time.monotonic() + READ_LIMIT_S
        raw.set_progress_handler(lambda: time.monotonic() > end_s, READ_CHECK_STEPS)
        connection.exec_driver_sql("BEGIN")

    return engine


def writing_engine(path: Path, busy_limit_s: float) -> Engine:
    """Return a connection whose transactions keep other writers out from their start.

    Args:
        busy_limit_s: How long to wait for another writer.
    """
    engine = _engine(path, "rw", busy_limit_s, 1, 1)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def back_up(path: Path, out: Path) -> None:
    """Copy a history while it is written; the copy has one state of it.

    Args:
        out: A file that does not exist.

    Raises:
        OSError: The copy cannot be made, or the file exists.
        sqlite3.Error: The history cannot be read now.
    """
    if out.exists():
        raise FileExistsError(errno.EEXIST, "exists already", str(out))
    address = f"{path.resolve().as_uri()}?mode=ro"
    partial = temporary_name(out)
    try:
        with closing(sqlite3.connect(address, uri=True)) as source:
            source.execute("SELECT 1 FROM alerts LIMIT 1")  # it is a history
            open_new(partial, PRIVATE_FILE).close()
            with closing(sqlite3.connect(partial)) as copy:
                source.backup(copy)
        fsync_file(partial)
        partial.rename(out)
    finally:
        partial.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Space:
    """How large a history may get.

    Attributes:
        limit_bytes: By its configuration, and by what the disk has left.
        free_bytes: What of it can still be written.
    """

    limit_bytes: int
    free_bytes: int


class HistoryLogError(SQLAlchemyError):
    """A reader keeps SQLite's log from being written into the file."""


class HistoryMovedError(SQLAlchemyError):
    """The file is not the one that was opened."""


class SqliteFile:
    """The size of the file and of its log.

    SQLite starts its log again from the beginning only when no reader uses it. Short
    reads that overlap, or one long read, let it grow without end.

    Attributes:
        limit_bytes: Most that file and log have together; 0 = limited by the disk only.
    """

    def __init__(self, path: Path) -> None:
        real = path.resolve()
        self._path, self._log = real, real.with_name(f"{real.name}-wal")
        self._identity = _identity_of(real)
        self._shortened_s = -SHORTEN_EVERY_S
        self._is_reported = False
        self.limit_bytes = 0

    def require_present(self) -> None:
        """Refuse a file that was moved away: what is written to it would be lost.

        Raises:
            HistoryMovedError: It was.
        """
        if _identity_of(self._path) != self._identity:
            raise HistoryMovedError(
                f"{self._path} was moved, deleted or replaced: restart the dashboard"
            )

    @property
    def _log_limit_bytes(self) -> int:
        """The part of the limit that is for the log."""
        if not self.limit_bytes:
            return LOG_MAX_BYTES
        share = self.limit_bytes // LOG_SHARE
        return min(max(share, LOG_MIN_BYTES), self.limit_bytes // 2, LOG_MAX_BYTES)

    def apply_limit(self, connection: Connection) -> None:
        """Limit the file; one that is larger already keeps its size."""
        page_bytes = _pragma(connection, "page_size")
        pages = max(1, min(self._log_limit_bytes // page_bytes // 2, LOG_USUAL_PAGES))
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint={pages}")
        if self.limit_bytes:
            most = (self.limit_bytes - self._log_limit_bytes) // page_bytes
            connection.exec_driver_sql(f"PRAGMA max_page_count={most}")

    def space(self, connection: Connection) -> Space:
        """Return the limits that hold now."""
        page_bytes = _pragma(connection, "page_size")
        size_bytes = _pragma(connection, "page_count") * page_bytes
        unused_bytes = _pragma(connection, "freelist_count") * page_bytes
        growth_bytes = self._disk_bytes()
        if self.limit_bytes:
            log_bytes = max(self._log_bytes(), self._log_limit_bytes)
            left_bytes = self.limit_bytes - log_bytes - size_bytes
            growth_bytes = max(0, min(growth_bytes, left_bytes))
        return Space(size_bytes + growth_bytes, unused_bytes + growth_bytes)

    def is_log_long(self) -> bool:
        """Return whether the log has reached its part of the limit."""
        return self._log_bytes() > self._log_limit_bytes

    def shorten_log(self, connection: Connection) -> None:
        """Write the log into the file; this waits shortly for readers.

        Args:
            connection: One that writes, outside of a transaction.
        """
        now_s = time.monotonic()
        if now_s < self._shortened_s + SHORTEN_EVERY_S:
            return
        self._shortened_s = now_s
        raw = _driver_of(connection)
        (before_ms,) = raw.execute("PRAGMA busy_timeout").fetchone()
        raw.execute(f"PRAGMA busy_timeout={SHORTEN_LIMIT_MS}")
        try:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            raw.execute(f"PRAGMA busy_timeout={before_ms}")

    def require_log_in_limit(self) -> None:
        """Refuse to write when the log is still too long.

        Raises:
            HistoryLogError: It is, and the history has a limit.
        """
        if not self.is_log_long():
            self._is_reported = False
            return
        reason = (
            f"a program has read the history for so long that its log {self._log} has "
            f"{self._log_bytes() // BYTES_PER_MB} MB: end that program"
        )
        if self.limit_bytes:
            raise HistoryLogError(reason)
        if not self._is_reported:
            logger.warning("history_log_grows: %s", reason)
            self._is_reported = True

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:  # there is no log yet
            return 0

    def _disk_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._path.parent).free
        except OSError:  # the history shows what is wrong when it is written
            return self.limit_bytes or LOG_MAX_BYTES


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _driver_of(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def _engine(path: Path, mode: str, busy_limit_s: float, size: int, most: int) -> Engine:
    address = f"{path.resolve().as_uri()}?mode={mode}"
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=address, query={"uri": "true"}),
        pool_size=size,
        max_overflow=most - size,
        connect_args={"timeout": busy_limit_s, "check_same_thread": False},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(raw: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        raw.isolation_level = None  # "begin" starts transactions, not the driver
        raw.execute("PRAGMA synchronous=FULL")

    return engine
