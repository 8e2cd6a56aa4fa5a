"""Figures of the history itself: its size, and how late alerts arrive."""

from sqlalchemy import Connection, select, text

from dashboard.history.database import Database
from dashboard.history.tables.received import alerts

LOG_SUFFIX = "-wal"


def size_bytes(database: Database) -> int:
    """Return the size of the history on the disk, with the log of SQLite.

    Raises:
        OSError: The file cannot be read now.
        sqlalchemy.exc.SQLAlchemyError: The same of the database.
    """
    if database.path is None:
        query = text("SELECT pg_database_size(current_database())")
        with database.read() as connection:
            return int(connection.execute(query).scalar_one())
    log = database.path.with_name(database.path.name + LOG_SUFFIX)
    log_bytes = log.stat().st_size if log.exists() else 0
    return database.path.stat().st_size + log_bytes


def newest_alert(connection: Connection) -> int:
    """Return the cursor of the newest alert: the number of alerts ever received."""
    query = select(alerts.c.n).order_by(alerts.c.n.desc()).limit(1)
    return int(connection.execute(query).scalar() or 0)


def delays_ms(connection: Connection, since_ms: int, limit: int) -> list[int]:
    """Return how long the last alerts took from the defect to the history, ascending.

    Args:
        since_ms: Alerts that were received earlier are left out.
        limit: Largest number of alerts.
    """
    c = alerts.c
    # The newest ones first: most of a long history is older.
    newest = select(c.received_ms, c.happened_ms).order_by(c.n.desc()).limit(limit)
    rows = connection.execute(newest)
    return sorted(
        max(0, received - happened)
        for received, happened in rows
        if received >= since_ms
    )
