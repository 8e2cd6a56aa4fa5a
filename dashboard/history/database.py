"""The history as a database: reading and writing transactions for SQLAlchemy.

Messages of the stations are written by ``dashboard.history.store`` alone. What people
change on the pages is written here, in short transactions beside it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry

from dashboard.history.schema import BUSY_TIMEOUT_S
from dashboard.history.tables import metadata

READERS = 8  # connections that stay open
READERS_MAX = 40  # requests beyond this number wait


class Database:
    """Transactions of the history; from any thread.

    Args:
        path: The history file, which ``Store`` has created.
    """

    def __init__(self, path: Path) -> None:
        address = path.resolve().as_uri()
        self._reading = _sqlite_engine(f"{address}?mode=ro", "BEGIN")
        self._writing = _sqlite_engine(f"{address}?mode=rw", "BEGIN IMMEDIATE")
        with self.write() as connection:
            metadata.create_all(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that reads one state of the history, and cannot write.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It cannot be read now.
        """
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
        with self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all idle connections."""
        self._reading.dispose()
        self._writing.dispose()


def _sqlite_engine(address: str, begin: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=address, query={"uri": "true"}),
        pool_size=READERS,
        max_overflow=READERS_MAX - READERS,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(raw: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        raw.isolation_level = None  # transactions begin below, not in the driver
        raw.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
