"""The history as a database, an SQLite file or in PostgreSQL: its transactions.

Every statement of the dashboard goes through ``Database``, and runs on both. On both,
one transaction writes at a time: what a transaction has read stays true until its
commit, and ``alerts.n`` grows in the order of the commits.
"""

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql as on_conflict  # SQLite has the same syntax
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from dashboard.history import postgresql, sqlite_file
from dashboard.history.backfill import add_sums
from dashboard.history.schema import bring_up_to_date
from dashboard.history.sqlite_file import Space, SqliteFile
from dashboard.postgresql_login import PostgresqlLogin
from models.errors import ConfigError

READERS = 8  # connections that stay open
READERS_MAX = 40  # requests beyond this number wait
BUSY_LIMIT_S = 5.0  # how long to wait for another writer
CLOSE_LIMIT_S = 10.0
ColumnValues = Mapping[str, Any]  # by column
FULL_CODES = (sqlite3.SQLITE_FULL, "53100")  # the second one: disk_full of PostgreSQL


class HistoryClosedError(SQLAlchemyError):
    """The history was closed, because the program ends."""


class HistoryBusyError(SQLAlchemyError):
    """Another thread of this program writes for too long."""


class Database:
    """Transactions of the history; from any thread.

    Args:
        location: The SQLite file, or the login to a PostgreSQL database.
        max_mb: Largest size of the file in MiB; 0 = limited by the disk only.
        busy_limit_s: How long to wait for another writer.
        may_migrate: Whether a history of an older version is brought up to date; a
            dashboard of that version must not run then.

    Attributes:
        path: The SQLite file; None in PostgreSQL.

    Raises:
        ConfigError: It cannot be opened, is no history, or another version wrote it.
    """

    def __init__(
        self,
        location: Path | PostgresqlLogin,
        *,
        max_mb: int = 0,
        busy_limit_s: float = BUSY_LIMIT_S,
        may_migrate: bool = True,
    ) -> None:
        self.path = location if isinstance(location, Path) else None
        self._busy_limit_s = busy_limit_s
        self._in_use = threading.Lock()  # SQLite crashes if closed in mid-write
        self._is_closed = False
        self._file: SqliteFile | None = None
        if isinstance(location, Path):
            self._open_file(location)
        else:
            self._reading = postgresql.reading_engine(location, READERS, READERS_MAX)
            self._writing = postgresql.writing_engine(location, busy_limit_s)
        try:
            self._prepare(max_mb, may_migrate=may_migrate)
        except (SQLAlchemyError, ConfigError) as exc:
            self.close()
            if isinstance(exc, ConfigError):
                raise
            raise _unusable(location, reason_of(exc)) from exc

    def _open_file(self, path: Path) -> None:
        try:
            sqlite_file.create_file(path)
        except (sqlite3.Error, OSError) as exc:
            raise _unusable(path, str(exc)) from exc
        self._file = SqliteFile(path)
        self._reading = sqlite_file.reading_engine(path, READERS, READERS_MAX)
        self._writing = sqlite_file.writing_engine(path, self._busy_limit_s)

    def _prepare(self, max_mb: int, *, may_migrate: bool) -> None:
        with self.write() as connection:
            if self.is_shared:
                postgresql.require_usable(connection)
            bring_up_to_date(connection, may_migrate=may_migrate)
        while self._add_sums():
            pass
        if self._file is None:
            return
        # After the tables: a history that is full already must still be opened.
        self._file.limit_bytes = max_mb * sqlite_file.BYTES_PER_MB
        with self.write() as connection:
            self._file.apply_limit(connection)

    def _add_sums(self) -> bool:
        with self.write() as connection:
            return add_sums(connection)

    @property
    def is_shared(self) -> bool:
        """Whether other collectors may write to it too."""
        return self.path is None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that reads one state of the history, and cannot write.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It cannot be read now.
        """
        self._require_open()
        with self._reading.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection whose changes are committed together at the end.

        Nothing is changed where the block raises. Keep it short: the stations' messages
        wait meanwhile.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It cannot be written now.
        """
        if not self._in_use.acquire(timeout=max(self._busy_limit_s, BUSY_LIMIT_S)):
            raise HistoryBusyError("another change of this dashboard takes too long")
        try:
            self._require_open()
            with self._writing.begin() as connection:
                yield connection
        finally:
            self._in_use.release()

    def _require_open(self) -> None:
        if self._is_closed:
            raise HistoryClosedError("the history is closed")
        if self._file is not None:
            self._file.require_present()

    def space(self) -> Space | None:
        """Return how large the file may get; None in PostgreSQL.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It cannot be read now.
        """
        if self._file is None:
            return None
        with self.read() as connection:
            return self._file.space(connection)

    def require_short_log(self) -> None:
        """Write the log of SQLite into its file when it has grown.

        Raises:
            HistoryLogError: A reader keeps the log from being written, and with it the
                history would be larger than its limit.
        """
        if self._file is None or not self._file.is_log_long():
            return
        with self._in_use, self._writing.connect() as connection:
            self._file.shorten_log(connection)
        self._file.require_log_in_limit()

    def close(self) -> None:
        """Close all connections; SQLite writes its log into the file.

        A commit in another thread ends first. One that hangs in a dead disk keeps the
        file open until the process ends.
        """
        if not self._in_use.acquire(timeout=CLOSE_LIMIT_S):
            return
        try:
            self._is_closed = True
            self._reading.dispose()
            self._writing.dispose()
        finally:
            self._in_use.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def insert_many(
    connection: Connection, table: Table, rows: Sequence[ColumnValues]
) -> None:
    """Insert rows of the same columns.

    The driver gets the values as they are: SQLAlchemy's preparation of each row takes
    three times as long as the row itself.
    """
    if rows and connection.dialect.name == "postgresql":
        postgresql.copy_rows(connection, table, rows)
    elif rows:
        _insert_into_file(connection, table, rows)


def _insert_into_file(
    connection: Connection,
    table: Table,
    rows: Sequence[ColumnValues],
    on_conflict: str = "",
) -> None:
    names = ", ".join(f'"{name}"' for name in rows[0])
    marks = ", ".join("?" * len(rows[0]))
    statement = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'  # noqa: S608 - names of the product
    if on_conflict:
        statement += f" ON CONFLICT {on_conflict}"
    values = [tuple(row.values()) for row in rows]
    connection.exec_driver_sql(statement, values)


def insert_numbered(
    connection: Connection, table: Table, rows: Sequence[ColumnValues]
) -> list[int]:
    """Insert rows of a table that counts them in ``n``, and return their numbers."""
    # No other transaction writes: these are the numbers that the database would give.
    if connection.dialect.name == "postgresql":
        numbers = postgresql.next_numbers(connection, table, len(rows))
    else:
        last = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        first = (connection.exec_driver_sql(last, (table.name,)).scalar() or 0) + 1
        numbers = list(range(first, first + len(rows)))
    numbered = [{"n": n, **row} for n, row in zip(numbers, rows, strict=True)]
    insert_many(connection, table, numbered)
    return numbers


def insert_new(table: Table) -> Insert:
    """Return an INSERT that leaves out rows which the table has already.

    Add ``returning`` to see which rows are new: of several rows, ``rowcount`` is not
    the number of new ones.
    """
    return on_conflict.insert(table).on_conflict_do_nothing()


def upsert(table: Table, *changed: str) -> Insert:
    """Return an INSERT that changes the row of the same primary key where there is one.

    Args:
        changed: Columns that get the new value; none given: all outside the key.
    """
    keys = table.primary_key.columns
    names = changed or [each.name for each in table.columns if each.name not in keys]
    insert = on_conflict.insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(keys), set_={name: insert.excluded[name] for name in names}
    )


def add_up_many(
    connection: Connection,
    table: Table,
    coarser: Table,
    length: int,
    rows: Sequence[ColumnValues],
) -> None:
    """Add to the rows of the same primary keys, or insert them, in two tables.

    Args:
        table: Its first column is a time, its last one the number that is added up;
            the others are its key.
        coarser: The same with whole multiples of ``length`` as its times.
        rows: What to add to ``table``; each key comes once.
    """
    if rows and connection.dialect.name == "postgresql":
        postgresql.add_up_arrays(connection, table, coarser, length, rows)
        return
    sums: Counter[tuple[Any, ...]] = Counter()
    for time, *key, count in (row.values() for row in rows):
        sums[(time // length * length, *key)] += count
    names = [column.name for column in coarser.columns]
    coarse = [dict(zip(names, (*key, sums[key]), strict=True)) for key in sorted(sums)]
    for each, added in ((table, rows), (coarser, coarse)):
        name = each.columns.keys()[-1]
        total = f'"{each.name}"."{name}" + excluded."{name}"'
        _merge_many(connection, each, {name: total}, added)


def upsert_many(
    connection: Connection, table: Table, rows: Sequence[ColumnValues]
) -> None:
    """Change the rows of the same primary keys, or insert them; each key comes once."""
    if not rows:
        return
    keys = {column.name for column in table.primary_key.columns}
    new = {name: f'excluded."{name}"' for name in rows[0] if name not in keys}
    _merge_many(connection, table, new, rows)


def raise_many(
    connection: Connection, table: Table, column: str, rows: Sequence[ColumnValues]
) -> None:
    """Keep the larger value of a column, or insert the rows; each key comes once."""
    old, new = f'"{table.name}"."{column}"', f'excluded."{column}"'
    larger = f"CASE WHEN {old} > {new} THEN {old} ELSE {new} END"
    _merge_many(connection, table, {column: larger}, rows)


def _merge_many(
    connection: Connection,
    table: Table,
    changes: Mapping[str, str],
    rows: Sequence[ColumnValues],
) -> None:
    if not rows:
        return
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
    news = ", ".join(f'"{name}" = {value}' for name, value in changes.items())
    clause = f"({keys}) DO UPDATE SET {news}"
    if connection.dialect.name == "postgresql":
        postgresql.merge_arrays(connection, table, rows, clause)
    else:
        _insert_into_file(connection, table, rows, clause)


def reason_of(error: SQLAlchemyError) -> str:
    """Return the driver's own text of an error, without statement and values."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    return str(cause or error).strip()


def is_full(error: SQLAlchemyError) -> bool:
    """Return whether the history has reached its largest size, or the disk is full."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    codes = [getattr(cause, each, None) for each in ("sqlite_errorcode", "sqlstate")]
    return any(code in FULL_CODES for code in codes if code is not None)


def is_bad_row(error: SQLAlchemyError) -> bool:
    """Return whether the values of a row are at fault, and not the database."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(error, IntegrityError | DataError):
        return True
    # Of SQLite: a value of a wrong kind. Of PostgreSQL: the connection is closed.
    return isinstance(cause, sqlite3.InterfaceError)


def back_up(location: Path | PostgresqlLogin, out: Path) -> None:
    """Copy a history into a file that does not exist; a dashboard may be writing it.

    Raises:
        ConfigError: The copy cannot be made, or the history is in PostgreSQL.
    """
    if not isinstance(location, Path):
        raise ConfigError(
            "The history is in PostgreSQL: the server's own tool copies it.",
            why=f"[history] url = {location.url}",
            fix=f"pg_dump --format=custom --file={out} {location.url}",
        )
    try:
        sqlite_file.back_up(location, out)
    except (OSError, sqlite3.Error) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else None
        raise ConfigError(
            f"The history {location} cannot be copied to {out}.",
            why=reason or str(exc),
            fix="Give a new file in a folder that may be written.",
        ) from exc


def _unusable(location: Path | PostgresqlLogin, reason: str) -> ConfigError:
    if isinstance(location, Path):
        return ConfigError(
            f"[history] path = {location}: cannot be used.",
            why=reason,
            fix="Give a path that may be written, or move a damaged file away.",
        )
    return ConfigError(
        f"[history] url = {location.url}: cannot be used.",
        why=reason,
        fix="Start the server, and check address, user, password_file and database.",
    )
