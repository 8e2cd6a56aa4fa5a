"""Removes old rows, by a clock that a wrong wall clock cannot advance.

Removed rows are lost: the stations have deleted them. So the wall clock alone must not
decide. A machine whose clock starts two years ahead would delete everything, and one
that starts in 1970 would write rows that are too old as soon as its clock is set.
Retention uses a separate clock, which is kept in the history:

* it is never ahead of the wall clock when something is deleted;
* it never goes back;
* it advances at most ``SPEED_MAX`` times as fast as the running time of the dashboard:
  it catches up after the nights and weekends of a machine that is switched off, and a
  wall clock that is years ahead needs months to delete rows too early. Collectors that
  share a history advance it each by their own time;
* no row is written with an older time than this clock, so that no row is too old when
  it arrives.
"""

from sqlalchemy import Connection, Table, delete, func, select, tuple_

from dashboard.config import KeptDays
from dashboard.history.database import upsert
from dashboard.history.full_picture_cache import PICTURES_OF, prune_full_pictures
from dashboard.history.rollups import correct_sums, hour_of
from dashboard.history.state_log import prune_operations
from dashboard.history.tables.alarms import alarm_changes
from dashboard.history.tables.learning import learning_marks
from dashboard.history.tables.line_clocks import line_clocks
from dashboard.history.tables.received import (
    alerts,
    conflicts,
    detections,
    images,
    losses,
    meta,
    verdicts,
)
from dashboard.history.tables.reviews import alert_states, reviews
from dashboard.history.tables.rollups import HOUR, HOURS_OF, MINUTE

MS_PER_DAY = 24 * 3600 * 1000
PRUNE_CHUNK = 500  # rows per transaction: messages do not wait for retention
SPEED_MAX = 8  # a machine that runs one shift on five days needs 4.2
EPOCH_MS = 1_735_689_600_000  # 2025-01-01: no history is older
CLOCK = "retention_ms"


class Retention:
    """Removes rows that are too old. Every call is in the caller's transaction.

    Args:
        connection: It reads the history, for this call only.
    """

    def __init__(self, connection: Connection) -> None:
        kept = _read_clock(connection)
        newest_ms = _newest_ms(connection) if kept is None else kept
        self._clock_ms = max(newest_ms, EPOCH_MS)

    def stamp(self, received_ms: int) -> int:
        """Return the time to write a row with, which is never too old.

        Args:
            received_ms: Wall clock when the message arrived, UTC.
        """
        return max(received_ms, self._clock_ms)

    def prune(
        self, connection: Connection, now_ms: int, ran_ms: int, kept: KeptDays
    ) -> int:
        """Remove one chunk of rows that are too old, and return their number.

        Args:
            now_ms: Wall clock of the collector, UTC.
            ran_ms: Time by the monotonic clock since the last call, or the start.
        """
        self._clock_ms = max(self._clock_ms, _read_clock(connection) or 0)
        at_ms = min(now_ms, self._clock_ms + SPEED_MAX * max(0, ran_ms))
        removed = _prune_alerts(connection, at_ms - kept.alerts * MS_PER_DAY)
        image_days = min(kept.alerts, kept.images)
        for table, days in (
            (images, image_days),
            (verdicts, kept.parts),
            (losses, kept.alerts),
            (conflicts, kept.alerts),
        ):
            oldest_ms = at_ms - days * MS_PER_DAY
            removed += _prune(connection, table, "received_ms", oldest_ms)
        # Whole hours: those that are left have all of their minutes.
        whole_ms = hour_of(at_ms - kept.sums * MS_PER_DAY)
        for minutes, hours in HOURS_OF.items():
            removed += _prune(connection, minutes, MINUTE, whole_ms)
            removed += _prune(connection, hours, HOUR, whole_ms)
        oldest_ms = at_ms - kept.operations * MS_PER_DAY
        removed += prune_operations(connection, oldest_ms, PRUNE_CHUNK)
        for table in (alarm_changes, line_clocks):
            removed += _prune(connection, table, "at_ms", oldest_ms)
        oldest_ms = at_ms - image_days * MS_PER_DAY
        removed += prune_full_pictures(connection, oldest_ms, PRUNE_CHUNK)
        if at_ms > self._clock_ms:
            self._clock_ms = at_ms
            connection.execute(upsert(meta), {"key": CLOCK, "value": str(at_ms)})
        return removed


def _read_clock(connection: Connection) -> int | None:
    stored = select(meta.c.value).where(meta.c.key == CLOCK)
    value = connection.execute(stored).scalar()
    return int(value) if value is not None else None


def _newest_ms(connection: Connection) -> int:
    """Return when the last row arrived, for a history without a retention clock."""
    newest = [
        connection.execute(select(func.max(table.c.received_ms))).scalar()
        for table in (alerts, verdicts, images)
    ]
    return max(each or 0 for each in newest)


def _prune_alerts(connection: Connection, oldest_ms: int) -> int:
    old = select(alerts.c.n, alerts.c.id).where(alerts.c.received_ms < oldest_ms)
    # One transaction writes at a time, also in PostgreSQL: no review falls between the
    # sums and the removal, and no other collector corrects them too.
    rows = connection.execute(old.limit(PRUNE_CHUNK)).all()
    if rows:
        cursors, ids = [row.n for row in rows], [row.id for row in rows]
        correct_sums(connection, cursors)
        for table in (reviews, learning_marks, *PICTURES_OF.values()):
            connection.execute(delete(table).where(table.c.event_id.in_(ids)))
        for table in (alert_states, detections, alerts):
            connection.execute(delete(table).where(table.c.n.in_(cursors)))
    return len(rows)


def _prune(connection: Connection, table: Table, column: str, oldest_ms: int) -> int:
    keys = tuple_(*table.primary_key.columns)
    old = select(*table.primary_key.columns).where(table.c[column] < oldest_ms)
    done = connection.execute(delete(table).where(keys.in_(old.limit(PRUNE_CHUNK))))
    return done.rowcount
