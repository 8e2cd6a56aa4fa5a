"""The versions of the history, and how an older one becomes the present one.

Tables that are missing are created at every start; a version counts changes of tables
that exist. Histories in PostgreSQL start with version 3, so that what comes before it
is of SQLite only.
"""

import json

from sqlalchemy import Connection, delete, func, inspect, select

from dashboard.history.tables import metadata
from dashboard.history.tables.received import (
    alerts,
    detections,
    meta,
    verdicts,
)
from models.errors import ConfigError

SCHEMA_VERSION = 4
VERSION_KEY = "schema_version"
# The sums of older events that are not made yet: first and last cursor, as JSON.
PENDING_KEY = "pending_sums"
# The sums per hour of older minutes are not made yet: where to continue, in ms.
PENDING_HOURS_KEY = "pending_hours"
# The columns are the last ones of their tables.
FROM_1_TO_2 = (
    "ALTER TABLE streams ADD COLUMN grew_ms INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE alerts ADD COLUMN digest TEXT",
    "ALTER TABLE verdicts ADD COLUMN digest TEXT",
    "ALTER TABLE losses ADD COLUMN digest TEXT",
)
FROM_2_TO_3 = (
    "ALTER TABLE alerts ADD COLUMN model_build INTEGER",
    "ALTER TABLE alerts ADD COLUMN part_id TEXT",
    "DROP INDEX alerts_by_camera",
    "DROP INDEX alerts_by_time",
)
CHANGED_INDICES = (
    (alerts, "alerts_by_camera"),
    (alerts, "alerts_by_time"),
    (alerts, "alerts_by_part"),
    (detections, "detections_by_label"),
)
# Created at every start where they are missing: older dashboards may go on.
LATER_INDICES = ((verdicts, "verdicts_by_arrival"),)


def bring_up_to_date(connection: Connection, *, may_migrate: bool = True) -> None:
    """Create what is missing, in the caller's writing transaction.

    The sums that an older version has not made are left to ``backfill``.

    Args:
        may_migrate: Whether a history of an older version is changed, or refused.

    Raises:
        ConfigError: A newer version wrote this history, or an older one that may not
            be changed.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    version = _sqlite_version(connection) if is_sqlite else _stored_version(connection)
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"The history has schema {version}.",
            why=f"It is newer than this dashboard's ({SCHEMA_VERSION}).",
            fix="Update Graftline on this machine, or give another history.",
        )
    if 0 < version < SCHEMA_VERSION and not may_migrate:
        raise ConfigError(
            f"The history has schema {version}.",
            why=f"It is older than this version's ({SCHEMA_VERSION}), and the "
            "dashboard that writes it may still run.",
            fix="Start the dashboard of this version once first.",
        )
    if version == 1:
        _execute(connection, FROM_1_TO_2)
    if 0 < version < 3:
        _execute(connection, FROM_2_TO_3)
        for table, name in CHANGED_INDICES:
            next(each for each in table.indexes if each.name == name).create(connection)
    known = set(inspect(connection).get_table_names())
    missing = [each for each in metadata.sorted_tables if each.name not in known]
    metadata.create_all(connection, missing, checkfirst=False)
    for table, name in LATER_INDICES:
        index = next(each for each in table.indexes if each.name == name)
        index.create(connection, checkfirst=True)
    if version == SCHEMA_VERSION:
        return
    if version > 0:
        _note_pending_sums(connection, version)
    if is_sqlite:
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
    else:
        connection.execute(delete(meta).where(meta.c.key == VERSION_KEY))
        row = {"key": VERSION_KEY, "value": str(SCHEMA_VERSION)}
        connection.execute(meta.insert(), row)


def _execute(connection: Connection, statements: tuple[str, ...]) -> None:
    for each in statements:
        connection.exec_driver_sql(each)


def _sqlite_version(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _stored_version(connection: Connection) -> int:
    """Return the schema of a history in PostgreSQL; 0: it is new."""
    if not inspect(connection).has_table(meta.name):
        return 0
    stored = select(meta.c.value).where(meta.c.key == VERSION_KEY)
    return int(connection.execute(stored).scalar() or 0)


def _note_pending_sums(connection: Connection, version: int) -> None:
    connection.execute(meta.insert(), {"key": PENDING_HOURS_KEY, "value": "0"})
    if version >= 3:
        return
    last_alert = connection.execute(select(func.max(alerts.c.n))).scalar() or 0
    last_verdict = connection.exec_driver_sql("SELECT max(rowid) FROM verdicts")
    pending = {"alerts": [1, last_alert], "verdicts": [1, last_verdict.scalar() or 0]}
    connection.execute(
        meta.insert(), {"key": PENDING_KEY, "value": json.dumps(pending)}
    )
