"""Alarms: read, raised, cleared and acknowledged, each change once.

Every change is a row of ``alarm_changes``: who sends notifications reads them after its
own cursor, and misses none over a restart.
"""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select, update

from dashboard.history.tables.alarms import alarm_changes, alarms
from dashboard.history.tables.received import cameras, verdicts
from models.messages import VerdictKind

COMMENT_MAX_CHARS = 500
Where = tuple[str, str, str, str]  # site, line, station, camera


class AlarmChangeKind(StrEnum):
    """What happened to an alarm."""

    RAISED = "raised"
    CLEARED = "cleared"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class AlarmState:
    """An alarm of a camera.

    Attributes:
        id: Counts up.
        kind: ``share`` or ``streak``, see ``dashboard.alarms.rules``.
        value: When it was raised: percent of defective parts, or parts in a row.
        limit_value: The limit in force then, in the same unit.
        parts: Number of parts that were judged then.
        cleared_ms: UTC; 0 = it is open.
        acknowledged_ms: UTC; 0 = it was not acknowledged.
    """

    id: int
    site: str
    line: str
    station: str
    camera: str
    kind: str
    raised_ms: int
    value: float
    limit_value: float
    parts: int
    cleared_ms: int = 0
    acknowledged_ms: int = 0
    acknowledged_by: str = ""
    comment: str = ""

    @property
    def where(self) -> Where:
        """Site, line, station and camera."""
        return self.site, self.line, self.station, self.camera

    @property
    def is_open(self) -> bool:
        """Whether its reason still exists."""
        return not self.cleared_ms

    def as_json(self) -> dict[str, Any]:
        """Return it in the form of the API."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """One change of an alarm.

    Attributes:
        n: Cursor; counts up.
        user: Who acknowledged it; empty for other changes.
        alarm: As it is now, which may be later than the change.
    """

    n: int
    at_ms: int
    kind: AlarmChangeKind
    user: str
    alarm: AlarmState


def open_alarms(connection: Connection) -> list[AlarmState]:
    """Return the open alarms, the oldest first."""
    query = select(alarms).where(alarms.c.cleared_ms == 0).order_by(alarms.c.id)
    return [AlarmState(**row) for row in connection.execute(query).mappings()]


def last_alarms(connection: Connection, limit: int) -> list[AlarmState]:
    """Return open and cleared alarms, the newest first."""
    query = select(alarms).order_by(alarms.c.id.desc()).limit(limit)
    return [AlarmState(**row) for row in connection.execute(query).mappings()]


def alarm_by_id(connection: Connection, alarm_id: int) -> AlarmState | None:
    """Return an alarm; None if there is none with this id."""
    query = select(alarms).where(alarms.c.id == alarm_id)
    row = connection.execute(query).mappings().first()
    return AlarmState(**row) if row is not None else None


def raise_alarm(connection: Connection, alarm: AlarmState) -> AlarmState:
    """Write a new alarm, and return it with its id.

    Args:
        alarm: Its ``id`` is ignored.

    Raises:
        sqlalchemy.exc.IntegrityError: The camera has an open alarm of this kind.
    """
    values = alarm.as_json()
    del values["id"]
    result = connection.execute(insert(alarms).values(**values).returning(alarms.c.id))
    raised = replace(alarm, id=result.scalar_one())
    _note(connection, raised.id, alarm.raised_ms, AlarmChangeKind.RAISED)
    return raised


def clear_alarm(connection: Connection, alarm_id: int, now_ms: int) -> bool:
    """Clear an alarm; return false if it was cleared before."""
    done = connection.execute(
        update(alarms)
        .where(alarms.c.id == alarm_id, alarms.c.cleared_ms == 0)
        .values(cleared_ms=now_ms)
    )
    if done.rowcount:
        _note(connection, alarm_id, now_ms, AlarmChangeKind.CLEARED)
    return bool(done.rowcount)


def acknowledge_alarm(
    connection: Connection, alarm_id: int, now_ms: int, user: str, comment: str
) -> bool:
    """Note who has seen an alarm; return false if somebody has before."""
    done = connection.execute(
        update(alarms)
        .where(alarms.c.id == alarm_id, alarms.c.acknowledged_ms == 0)
        .values(
            acknowledged_ms=now_ms,
            acknowledged_by=user,
            comment=comment[:COMMENT_MAX_CHARS],
        )
    )
    if done.rowcount:
        _note(connection, alarm_id, now_ms, AlarmChangeKind.ACKNOWLEDGED, user)
    return bool(done.rowcount)


def alarm_changes_after(
    connection: Connection, n: int, limit: int = 100
) -> list[AlarmChange]:
    """Return the changes after a cursor, the oldest first; 0 = from the first one."""
    joined = alarm_changes.join(alarms, alarms.c.id == alarm_changes.c.alarm_id)
    query = (
        select(alarm_changes.c.n, alarm_changes.c.at_ms, alarm_changes.c.change)
        .add_columns(alarm_changes.c.user, alarms)
        .select_from(joined)
        .where(alarm_changes.c.n > n)
        .order_by(alarm_changes.c.n)
        .limit(limit)
    )
    found = []
    for row in connection.execute(query).mappings():
        alarm = AlarmState(**{each.name: row[each.name] for each in alarms.c})
        kind = AlarmChangeKind(row["change"])
        found.append(AlarmChange(row["n"], row["at_ms"], kind, row["user"], alarm))
    return found


def last_verdicts(
    connection: Connection, where: Where, limit: int, since_ms: int
) -> list[str]:
    """Return the verdicts of a camera's last inspected parts, the newest first.

    The order is that of their arrival: the clock of a line PC may be wrong.

    Args:
        limit: Number of parts that were inspected.
        since_ms: Parts that arrived before are left out; UTC.
    """
    query = (
        select(verdicts.c.verdict)
        .where(_is_of(where), verdicts.c.received_ms >= since_ms)
        .where(verdicts.c.verdict != VerdictKind.NOT_INSPECTED.value)
        .order_by(verdicts.c.received_ms.desc(), verdicts.c.seq.desc())
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def known_cameras(connection: Connection) -> set[Where]:
    """Return the cameras that the pages show: those that were not forgotten."""
    c = cameras.c
    rows = connection.execute(select(c.site, c.line, c.station, c.camera))
    return {(row[0], row[1], row[2], row[3]) for row in rows}


def cameras_with_parts(connection: Connection, received_ms: int) -> set[Where]:
    """Return the cameras whose parts have arrived at this time or later."""
    c = verdicts.c
    query = (
        select(c.site, c.line, c.station, c.camera)
        .where(c.received_ms >= received_ms)
        .distinct()
    )
    return {(row[0], row[1], row[2], row[3]) for row in connection.execute(query)}


def _is_of(where: Where) -> Any:  # noqa: ANN401 - a condition of SQLAlchemy
    c = verdicts.c
    site, line, station, camera = where
    return (
        (c.site == site)
        & (c.line == line)
        & (c.station == station)
        & (c.camera == camera)
    )


def _note(
    connection: Connection,
    alarm_id: int,
    at_ms: int,
    change: AlarmChangeKind,
    user: str = "",
) -> None:
    row = {"alarm_id": alarm_id, "at_ms": at_ms, "change": change, "user": user}
    connection.execute(insert(alarm_changes).values(**row))
