"""What notifications are made of, read after a cursor: new alerts and state changes."""

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from dashboard.history.alarms import Where
from dashboard.history.tables.alarms import alarm_changes
from dashboard.history.tables.operations import state_changes
from dashboard.history.tables.received import alerts, detections


@dataclass(slots=True)
class AlertGroup:
    """New alerts of one camera.

    Attributes:
        first_n: Cursor of the first one.
        last_id: Event id of the last one.
        at_ms: When the last one happened, UTC.
        labels: Number of detections by class.
    """

    first_n: int
    last_id: str = ""
    at_ms: int = 0
    count: int = 0
    labels: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class SenderChange:
    """A change of the state of a camera, or of a station with the camera "".

    Attributes:
        n: Cursor; counts up.
    """

    n: int
    where: Where
    at_ms: int
    state: str
    reason: str


def newest_of(connection: Connection, source: str) -> int:
    """Return the cursor of the newest row of a source: alarms, alerts or lines."""
    columns = {
        "alarms": alarm_changes.c.n,
        "alerts": alerts.c.n,
        "lines": state_changes.c.n,
    }
    return int(connection.execute(select(func.max(columns[source]))).scalar() or 0)


def alerts_after(
    connection: Connection, n: int, limit: int
) -> tuple[int, dict[Where, AlertGroup]]:
    """Return the cursor of the last alert that was read, and the alerts by camera."""
    c = alerts.c
    query = (
        select(c.n, c.id, c.site, c.line, c.station, c.camera, c.happened_ms)
        .where(c.n > n)
        .order_by(c.n)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    groups: dict[Where, AlertGroup] = {}
    by_n: dict[int, AlertGroup] = {}
    for row in rows:
        where = (row.site, row.line, row.station, row.camera)
        group = groups.setdefault(where, AlertGroup(row.n))
        group.count += 1
        group.last_id, group.at_ms = row.id, row.happened_ms
        by_n[row.n] = group
    if not rows:
        return n, groups
    d = detections.c
    found = select(d.n, d.label).where(d.n >= rows[0].n, d.n <= rows[-1].n)
    for alert_n, label in connection.execute(found):
        if alert_n in by_n:
            by_n[alert_n].labels[label] += 1
    return rows[-1].n, groups


def states_after(connection: Connection, n: int, limit: int) -> list[SenderChange]:
    """Return the state changes after a cursor, the oldest first."""
    c = state_changes.c
    query = select(state_changes).where(c.n > n).order_by(c.n).limit(limit)
    return [
        SenderChange(
            row.n,
            (row.site, row.line, row.station, row.camera),
            row.at_ms,
            row.state,
            row.reason,
        )
        for row in connection.execute(query)
    ]


def state_now(connection: Connection, where: Where) -> str:
    """Return the state of a camera or station; empty = it is not known."""
    c = state_changes.c
    site, line, station, camera = where
    query = (
        select(c.state)
        .where(c.site == site, c.line == line, c.station == station)
        .where(c.camera == camera)
        .order_by(c.n.desc())
        .limit(1)
    )
    return str(connection.execute(query).scalar() or "")
