"""The history in an SQLite file: how it is created, opened, read and written.

The file is in WAL mode: readers never wait for the writer. ``synchronous=FULL``,
because committed events are acknowledged, and the station then deletes them.
"""

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry

from models.files import PRIVATE_FOLDER, make_private_database

BYTES_PER_MB = 1 << 20
READ_BUSY_LIMIT_S = 5.0


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


def limit_size(connection: Connection, max_mb: int) -> None:
    """Limit the file; one that is larger already keeps its size."""
    page_bytes = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    most = max_mb * BYTES_PER_MB // page_bytes
    connection.exec_driver_sql(f"PRAGMA max_page_count={most}")


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
