"""Makes the sums that the version which has written a history did not make.

First those per minute, of events: only histories in SQLite are so old. Then those per
hour, of the sums per minute. They are made in chunks, each with its mark in one
transaction: a start that is interrupted continues at the next one.
"""

import json

from sqlalchemy import (
    BigInteger,
    Connection,
    Table,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from dashboard.history.schema import PENDING_HOURS_KEY, PENDING_KEY
from dashboard.history.tables.received import meta
from dashboard.history.tables.rollups import HOURS_OF, MINUTE
from dashboard.plant_time import MS_PER_HOUR

# ruff: noqa: S608 - made of the constants here
CHUNK = 20_000  # events of one transaction: 0.1 s
HOURS_CHUNK = 24  # hours of one transaction: 0.1 s with 20 cameras
_MINUTE_AND_CAMERA = "happened_ms / 60000 * 60000, site, line, station, camera"
# A station of any version names the model: its fields are the same.
_MODEL = (
    "coalesce(json_extract(event, '$.data.model.name'), ''),"
    " coalesce(json_extract(event, '$.data.model.build'), 0)"
)
_ADD_ALERTS = (
    """
    UPDATE alerts SET model_build = json_extract(event, '$.data.model.build'),
        part_id = json_extract(event, '$.data.part_id')
    WHERE n BETWEEN ? AND ?
    """,
    f"""
    INSERT INTO alert_minutes
    SELECT {_MINUTE_AND_CAMERA}, {_MODEL}, count(*) FROM alerts
    WHERE n BETWEEN ? AND ? GROUP BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT DO UPDATE SET alerts = alerts + excluded.alerts
    """,
    f"""
    INSERT INTO defect_minutes
    SELECT alerts.{_MINUTE_AND_CAMERA}, {_MODEL}, label, count(*)
    FROM alerts JOIN detections USING (n)
    WHERE n BETWEEN ? AND ? GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ON CONFLICT DO UPDATE SET defects = defects + excluded.defects
    """,
)
_ADD_PARTS = f"""
    INSERT INTO part_minutes
    SELECT {_MINUTE_AND_CAMERA}, verdict, count(*) FROM verdicts
    WHERE rowid BETWEEN ? AND ? GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT DO UPDATE SET parts = parts + excluded.parts
    """
_STATEMENTS = {"alerts": _ADD_ALERTS, "verdicts": (_ADD_PARTS,)}


def add_sums(connection: Connection) -> bool:
    """Add up one chunk, in the caller's transaction; return whether more is pending."""
    return _add_minutes(connection) or _add_hours(connection)


def _add_hours(connection: Connection) -> bool:
    """Make the sums of some hours; return whether more is pending."""
    mine = meta.c.key == PENDING_HOURS_KEY
    value = connection.execute(select(meta.c.value).where(mine)).scalar()
    if value is None:
        return False
    firsts = [
        connection.execute(
            select(func.min(table.c[MINUTE])).where(table.c[MINUTE] >= int(value))
        ).scalar()
        for table in HOURS_OF
    ]
    left = [each for each in firsts if each is not None]
    if not left:
        connection.execute(delete(meta).where(mine))
        return False
    start_ms = min(left) // MS_PER_HOUR * MS_PER_HOUR
    end_ms = start_ms + HOURS_CHUNK * MS_PER_HOUR
    for minutes, hours in HOURS_OF.items():
        _add_hours_of(connection, minutes, hours, start_ms, end_ms)
    connection.execute(update(meta).where(mine).values(value=str(end_ms)))
    return True


def _add_hours_of(
    connection: Connection, minutes: Table, hours: Table, start_ms: int, end_ms: int
) -> None:
    """Add up the minutes of some hours, of which no sums are there."""
    time, *keys, count = minutes.columns
    # A literal: PostgreSQL takes two parameters for two different groups.
    length = literal_column(str(MS_PER_HOUR), BigInteger)
    groups = [time // length * length, *keys]
    sums = (
        select(*groups, cast(func.sum(count), BigInteger))
        .where(time >= start_ms, time < end_ms)
        .group_by(*groups)
    )
    connection.execute(insert(hours).from_select(list(hours.columns), sums))


def _add_minutes(connection: Connection) -> bool:
    mine = meta.c.key == PENDING_KEY
    value = connection.execute(select(meta.c.value).where(mine)).scalar()
    if value is None:
        return False
    pending: dict[str, list[int]] = json.loads(value)
    for name, (first, last) in pending.items():
        if first > last:
            continue
        end = min(last, first + CHUNK - 1)
        for statement in _STATEMENTS[name]:
            connection.exec_driver_sql(statement, (first, end))
        pending[name] = [end + 1, last]
        changed = update(meta).where(mine).values(value=json.dumps(pending))
        connection.execute(changed)
        return True
    connection.execute(delete(meta).where(mine))
    return False
