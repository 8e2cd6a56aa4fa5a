"""Removes old rows, by a clock that a wrong wall clock cannot advance.

Removed rows are lost: the stations have deleted them. So the wall clock alone must not
decide. A machine whose clock starts two years ahead would delete everything, and one
that starts in 1970 would write rows that are too old as soon as its clock is set.
Retention uses a separate clock, which is kept in the history:

* it is never ahead of the wall clock when something is deleted;
* it never goes back;
* it advances at most ``SPEED_MAX`` times as fast as the running time of the dashboard:
  it catches up after the nights and weekends of a machine that is switched off, and a
  wall clock that is years ahead needs months to delete rows too early;
* no row is written with an older time than this clock, so that no row is too old when
  it arrives.
"""

import sqlite3

MS_PER_DAY = 24 * 3600 * 1000
PRUNE_CHUNK = 500  # rows per transaction: messages do not wait for retention
SPEED_MAX = 8  # a machine that runs one shift on five days needs 4.2
EPOCH_MS = 1_735_689_600_000  # 2025-01-01: no history is older
CLOCK = "retention_ms"


class Retention:
    """Removes rows that are too old. Every call is in the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (CLOCK,))
        (kept,) = row.fetchone() or (self._newest_ms(),)
        self._clock_ms = max(int(kept), EPOCH_MS)

    def stamp(self, received_ms: int) -> int:
        """Return the time to write a row with, which is never too old.

        Args:
            received_ms: Wall clock when the message arrived, UTC.
        """
        return max(received_ms, self._clock_ms)

    def prune(
        self, now_ms: int, ran_ms: int, keep_days: int, keep_images_days: int
    ) -> int:
        """Remove one chunk of rows that are too old, and return their number.

        Args:
            now_ms: Wall clock of the collector, UTC.
            ran_ms: Time by the monotonic clock since the last call, or the start.
            keep_days: Alerts, verdicts and losses older than this are removed.
            keep_images_days: Pictures older than this are removed.
        """
        at_ms = min(now_ms, self._clock_ms + SPEED_MAX * max(0, ran_ms))
        oldest_ms = at_ms - keep_days * MS_PER_DAY
        oldest_image_ms = at_ms - min(keep_days, keep_images_days) * MS_PER_DAY
        old = "SELECT rowid FROM {} WHERE received_ms < ? LIMIT ?"
        chunk = (oldest_ms, PRUNE_CHUNK)
        alerts = self._db.execute(old.format("alerts"), chunk).fetchall()
        self._db.executemany("DELETE FROM detections WHERE n = ?", alerts)
        self._db.executemany("DELETE FROM alerts WHERE n = ?", alerts)
        removed = len(alerts)
        for table, limit_ms in (
            ("verdicts", oldest_ms),
            ("losses", oldest_ms),
            ("conflicts", oldest_ms),
            ("images", oldest_image_ms),
        ):
            rows = old.format(table)
            removed += self._db.execute(
                f"DELETE FROM {table} WHERE rowid IN ({rows})",  # noqa: S608 - ours
                (limit_ms, PRUNE_CHUNK),
            ).rowcount
        if at_ms > self._clock_ms:
            self._clock_ms = at_ms
            self._db.execute(
                "INSERT INTO meta VALUES (?, ?)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (CLOCK, str(at_ms)),
            )
        return removed

    def _newest_ms(self) -> int:
        """Return when the last row arrived, for a history without a retention clock."""
        (newest_ms,) = self._db.execute(
            "SELECT max((SELECT coalesce(max(received_ms), 0) FROM alerts),"
            " (SELECT coalesce(max(received_ms), 0) FROM verdicts),"
            " (SELECT coalesce(max(received_ms), 0) FROM images))"
        ).fetchone()
        return int(newest_ms)
