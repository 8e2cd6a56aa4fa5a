"""Makes the sums per minute of events that a version without sums has stored.

Only histories in SQLite are so old. The events are added up in chunks, each with its
mark in one transaction: a start that is interrupted continues at the next one.
"""

import json

from sqlalchemy import Connection, delete, select, update

from dashboard.history.schema import PENDING_KEY
from dashboard.history.tables.received import meta

# ruff: noqa: S608 - made of the constants here
CHUNK = 20_000  # events of one transaction: 0.1 s
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
