"""The room of a nearly full history, which the stations share.

What one station sends must not keep the alerts of another one out. When little room is
left, the oldest pictures of the station that holds the most are removed: pictures take
nearly all the room, and an alert without its picture still states what was found. A
station that holds the most without any picture has to wait: its new events are refused
and not acknowledged, so that it keeps them, and the others use the room that is left.
"""

import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from dashboard.history.schema import STREAM_OF_EVENT
from models.topics import StationTopics

PICTURES_AT_ONCE = 50  # 3 MB of usual pictures: room for thousands of alerts
KEPT_SHARE = 10  # a tenth of the room is for stations that do not hold the most ...
KEPT_MIN_BYTES = 1024 * 1024  # ... at least this: any event fits, with its boxes
KEPT_MAX_BYTES = 64 * 1024 * 1024  # ... and up to this: 50,000 alerts
# Adding up a history of 1,000,000 alerts takes some seconds.
WEIGH_EVERY_S = 30.0
_OF_STATIONS = f"FROM images JOIN streams ON stream = {STREAM_OF_EVENT}"
_LARGEST = f"""
SELECT site, line, station FROM (
    SELECT site, line, station, length(event) AS bytes FROM alerts
    UNION ALL SELECT site, line, station, length(event) FROM verdicts
    UNION ALL SELECT site, line, station, length(event) FROM conflicts
    UNION ALL SELECT site, line, station, length(jpeg) {_OF_STATIONS}
) GROUP BY site, line, station ORDER BY sum(bytes) DESC LIMIT 1
"""  # noqa: S608 - ours
_STATIONS = "SELECT count(*) FROM (SELECT DISTINCT site, line, station FROM streams)"


class Room:
    """The room of one history. Used by its writer's thread.

    Args:
        path: The file of the history.
        now_s: Monotonic clock.

    Attributes:
        waiting: The station whose new events are refused.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db, self._folder, self._now_s = connection, path.resolve().parent, now_s
        self._page_bytes = self._number("PRAGMA page_size")
        self._most_bytes = self._page_bytes * self._number("PRAGMA max_page_count")
        self._weighed_s = -WEIGH_EVERY_S
        self.waiting: StationTopics | None = None

    def is_short(self) -> bool:
        """Return whether pictures have to make room, or a station has to wait."""
        pages = self._number("PRAGMA page_count")
        unused = self._number("PRAGMA freelist_count") * self._page_bytes
        size_bytes = pages * self._page_bytes
        growth_bytes = max(0, min(self._most_bytes - size_bytes, self._disk_bytes()))
        limit_bytes = size_bytes + growth_bytes
        kept_bytes = min(
            max(limit_bytes // KEPT_SHARE, KEPT_MIN_BYTES),
            limit_bytes // 2,  # of a history of 1 MiB
            KEPT_MAX_BYTES,
        )
        if unused + growth_bytes >= kept_bytes:
            self.waiting = None
            return False
        return self.waiting is None or self._now_s() >= self._weighed_s + WEIGH_EVERY_S

    def make(self) -> int:
        """Remove some pictures, inside the caller's transaction; return their number.

        Pictures whose alert has not arrived are among them only if there is another
        station: a station that is alone would send its own picture again and again.
        """
        self.waiting = None
        largest = self._db.execute(_LARGEST).fetchone()
        if largest is None:
            return 0
        is_alone = self._number(_STATIONS) < 2
        announced = "EXISTS (SELECT 1 FROM alerts WHERE id = event_id)"
        rows = self._db.execute(
            f"SELECT event_id {_OF_STATIONS} WHERE site = ? AND line = ?"
            f" AND station = ? AND ({announced} OR ?) ORDER BY received_ms LIMIT ?",
            (*largest, not is_alone, PICTURES_AT_ONCE),
        ).fetchall()
        self._db.executemany("DELETE FROM images WHERE event_id = ?", rows)
        if not rows and not is_alone:
            self.waiting = StationTopics(*largest)
            self._weighed_s = self._now_s()
        return len(rows)

    def _disk_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:  # the history shows what is wrong when it is written
            return self._most_bytes

    def _number(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])
