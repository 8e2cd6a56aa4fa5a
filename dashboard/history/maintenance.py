"""Maintenance: windows in which a camera raises no alarm and sends no notification.

A window ends by itself. Nothing else changes: alerts are received, stored and shown.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, insert, select, update

from dashboard.history.queries import Json
from dashboard.history.tables.operations import maintenance

LONGEST_MS = 7 * 24 * 3600 * 1000
REASON_MAX_CHARS = 200
WINDOWS_SHOWN = 20

SenderKey = tuple[str, str, str, str]  # site, line, station, camera; "" = all cameras


def start_maintenance(
    connection: Connection,
    where: SenderKey,
    now_ms: int,
    until_ms: int,
    user: str,
    reason: str,
) -> None:
    """Start a window; one that is open there ends.

    Args:
        until_ms: At most ``LONGEST_MS`` from now.
    """
    end_maintenance(connection, where, now_ms, user)
    site, line, station, camera = where
    connection.execute(
        insert(maintenance).values(
            site=site,
            line=line,
            station=station,
            camera=camera,
            from_ms=now_ms,
            until_ms=min(until_ms, now_ms + LONGEST_MS),
            user=user,
            reason=reason[:REASON_MAX_CHARS],
            ended_by="",
        )
    )


def end_maintenance(
    connection: Connection, where: SenderKey, now_ms: int, user: str
) -> int:
    """End the windows that are open there, and return their number."""
    c = maintenance.c
    site, line, station, camera = where
    done = connection.execute(
        update(maintenance)
        .where(c.site == site, c.line == line, c.station == station)
        .where(c.camera == camera, c.until_ms > now_ms)
        .values(until_ms=now_ms, ended_by=user)
    )
    return done.rowcount


def open_windows(connection: Connection, now_ms: int) -> list[Json]:
    """Return the windows that are open now."""
    c = maintenance.c
    rows = connection.execute(
        select(maintenance)
        .where(c.until_ms > now_ms, c.from_ms <= now_ms)
        .order_by(c.n)
    )
    return [dict(row) for row in rows.mappings()]


def windows_of(
    connection: Connection, station: Sequence[str], limit: int = WINDOWS_SHOWN
) -> list[Json]:
    """Return the windows of a station and its cameras, newest first."""
    c = maintenance.c
    site, line, name = station
    rows = connection.execute(
        select(maintenance)
        .where(c.site == site, c.line == line, c.station == name)
        .order_by(c.n.desc())
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def windows_between(
    connection: Connection, from_ms: int, to_ms: int, limit: int = 500
) -> list[Json]:
    """Return the windows of a span, for charts and reports."""
    c = maintenance.c
    rows = connection.execute(
        select(maintenance)
        .where(c.from_ms < to_ms, c.until_ms > from_ms)
        .order_by(c.n)
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def quiet_cameras(connection: Connection, now_ms: int) -> frozenset[SenderKey]:
    """Return what is in maintenance now, for ``is_quiet``."""
    return frozenset(
        (row["site"], row["line"], row["station"], row["camera"])
        for row in open_windows(connection, now_ms)
    )


def is_quiet(quiet: Collection[SenderKey], where: SenderKey) -> bool:
    """Return whether a camera, or the whole of its station, is in maintenance."""
    return where in quiet or (*where[:3], "") in quiet
