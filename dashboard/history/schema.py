"""The history file: its tables, and how it is opened.

The history is one SQLite file in WAL mode: readers never wait for the writer. It uses
``synchronous=FULL``, because committed events are acknowledged, and the station then
deletes them.
"""

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, inspect, select

from dashboard.history.tables import metadata
from dashboard.history.tables.received import meta
from models.errors import ConfigError
from models.files import PRIVATE_FOLDER, make_private_database

SCHEMA_VERSION = 3
VERSION_KEY = "schema_version"
BUSY_TIMEOUT_S = 5.0
BYTES_PER_MB = 1 << 20

# alerts.n is the cursor of pages and of live events: it grows with every commit and
# is never used twice. The order of one stream is (stream_id, seq).
TABLES = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY, value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE streams (
    stream_id INTEGER PRIMARY KEY, stream TEXT NOT NULL UNIQUE,
    site TEXT NOT NULL, line TEXT NOT NULL, station TEXT NOT NULL,
    grew_ms INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE ranges (
    stream_id INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    PRIMARY KEY (stream_id, first_seq)
) WITHOUT ROWID;
CREATE TABLE alerts (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    stream_id INTEGER NOT NULL, seq INTEGER NOT NULL,
    site TEXT NOT NULL, line TEXT NOT NULL, station TEXT NOT NULL,
    camera TEXT NOT NULL, happened_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL,
    thumbnail_sha256 TEXT, event TEXT NOT NULL, digest TEXT
);
CREATE INDEX alerts_by_camera ON alerts (site, line, station, camera, happened_ms);
CREATE INDEX alerts_by_time ON alerts (happened_ms);
CREATE INDEX alerts_by_age ON alerts (received_ms);
CREATE TABLE detections (
    n INTEGER NOT NULL, position INTEGER NOT NULL,
    happened_ms INTEGER NOT NULL, label TEXT NOT NULL, score REAL NOT NULL,
    PRIMARY KEY (n, position)
) WITHOUT ROWID;
CREATE INDEX detections_by_time ON detections (happened_ms, label);
CREATE TABLE images (
    event_id TEXT PRIMARY KEY, sha256 TEXT NOT NULL,
    received_ms INTEGER NOT NULL, jpeg BLOB NOT NULL
);
CREATE INDEX images_by_age ON images (received_ms);
CREATE TABLE verdicts (
    id TEXT PRIMARY KEY, stream_id INTEGER NOT NULL, seq INTEGER NOT NULL,
    site TEXT NOT NULL, line TEXT NOT NULL, station TEXT NOT NULL,
    camera TEXT NOT NULL, happened_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL,
    verdict TEXT NOT NULL, event TEXT NOT NULL, digest TEXT
);
CREATE INDEX verdicts_by_camera
    ON verdicts (site, line, station, camera, happened_ms, verdict);
CREATE INDEX verdicts_by_age ON verdicts (received_ms);
CREATE TABLE losses (
    id TEXT PRIMARY KEY, stream_id INTEGER NOT NULL, seq INTEGER NOT NULL,
    kind TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    count INTEGER NOT NULL, received_ms INTEGER NOT NULL, digest TEXT
);
CREATE TABLE stations (
    site TEXT NOT NULL, line TEXT NOT NULL, station TEXT NOT NULL,
    heard_ms INTEGER NOT NULL DEFAULT 0, said_ms INTEGER NOT NULL DEFAULT 0,
    status TEXT,
    PRIMARY KEY (site, line, station)
) WITHOUT ROWID;
CREATE TABLE cameras (
    site TEXT NOT NULL, line TEXT NOT NULL, station TEXT NOT NULL, camera TEXT NOT NULL,
    heard_ms INTEGER NOT NULL DEFAULT 0, status TEXT, stats TEXT,
    PRIMARY KEY (site, line, station, camera)
) WITHOUT ROWID;
"""
# The stream of the id <stream>:<seq>; a stream may end with a colon, too.
STREAM_OF_EVENT = "substr(event_id, 1, length(rtrim(event_id, '0123456789')) - 1)"
CONFLICTS = """
CREATE TABLE conflicts (
    id TEXT NOT NULL, digest TEXT NOT NULL,
    site TEXT NOT NULL, line TEXT NOT NULL, station TEXT NOT NULL,
    received_ms INTEGER NOT NULL, event TEXT NOT NULL,
    PRIMARY KEY (id, digest)
);
CREATE INDEX conflicts_by_station ON conflicts (site, line, station);
"""
TABLES += CONFLICTS
# The columns are the last ones of their tables: rows are inserted without names.
FROM_1_TO_2 = (
    """
ALTER TABLE streams ADD COLUMN grew_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alerts ADD COLUMN digest TEXT;
ALTER TABLE verdicts ADD COLUMN digest TEXT;
ALTER TABLE losses ADD COLUMN digest TEXT;
"""
    + CONFLICTS
)


def bring_up_to_date(connection: Connection) -> None:
    """Create what is missing of the tables, in the caller's writing transaction.

    Raises:
        ConfigError: A newer version wrote this history.
    """
    version = _version_of(connection)
    if version > SCHEMA_VERSION:
        raise _newer(version)
    if version == 1:
        for statement in FROM_1_TO_2.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    metadata.create_all(connection)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
    elif not version:
        values = {"key": VERSION_KEY, "value": str(SCHEMA_VERSION)}
        connection.execute(meta.insert().values(values))


def _version_of(connection: Connection) -> int:
    """Return the schema of a history; 0: it is new."""
    if connection.dialect.name == "sqlite":
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if not inspect(connection).has_table(meta.name):
        return 0
    stored = select(meta.c.value).where(meta.c.key == VERSION_KEY)
    return int(connection.execute(stored).scalar() or 0)


def _newer(version: int) -> ConfigError:
    return ConfigError(
        f"The history has schema {version}.",
        why=f"It is newer than this dashboard's ({SCHEMA_VERSION}).",
        fix="Update Graftline on this machine, or give another history.",
    )


def open_for_writing(
    path: Path, max_mb: int = 0, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> sqlite3.Connection:
    """Return the one connection that writes; create the file if it does not exist.

    Args:
        max_mb: Largest size in MiB; 0 = limited by the disk only.
        busy_timeout_s: How long to wait for another writer.

    Raises:
        ConfigError: It cannot be opened, is no history, or a newer version wrote it.
    """
    try:
        path.parent.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
        make_private_database(path)
        connection = sqlite3.connect(
            path,
            timeout=busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,  # opened by the main thread, used by the writer
        )
    except (sqlite3.Error, OSError) as exc:
        raise _unusable(path, exc) from exc
    try:
        _prepare(connection, max_mb)
    except sqlite3.Error as exc:
        connection.close()
        raise _unusable(path, exc) from exc
    except ConfigError:
        connection.close()
        raise
    return connection


def _unusable(path: Path, cause: Exception) -> ConfigError:
    return ConfigError(
        f"[history] path = {path}: cannot be used.",
        why=str(cause),
        fix="Give a path that may be written, or move a damaged file away.",
    )


def _prepare(connection: sqlite3.Connection, max_mb: int) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        connection.execute("ROLLBACK")
        raise _newer(version)
    if version < SCHEMA_VERSION:
        statements = {0: TABLES, 1: FROM_1_TO_2}.get(version, "")
        for statement in statements.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")
    # After the tables: a history that is full already must still be opened.
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    if max_mb:
        connection.execute(
            f"PRAGMA max_page_count={max_mb * BYTES_PER_MB // page_bytes}"
        )


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write, for one query.

    Args:
        path: The history file, which exists.

    Raises:
        sqlite3.Error: It cannot be read now.
    """
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,  # closed where it was opened, but typed for pools
    )
    connection.row_factory = sqlite3.Row
    return connection
