"""Pictures whose alert has not arrived: few of each station, and not for long.

A picture is sent before its alert, and acknowledged to the station only with it: a
picture that is removed here is sent again with its alert. Without these limits, a
station that sends pictures of no alert fills the history of all.
"""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable

from dashboard.history.schema import STREAM_OF_EVENT
from models.topics import StationTopics

# The broker sends 200 messages before it waits: no station has more on the way.
MAX_PER_STATION = 200
KEPT_S = 15 * 60.0


class UnannouncedPictures:
    """Removes pictures without an alert. Every call is in the caller's transaction.

    Args:
        now_s: Monotonic clock.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db, self._now_s = connection, now_s
        # By station: event id to the time of arrival, oldest first.
        self._waiting: defaultdict[StationTopics, dict[str, float]]
        self._waiting = defaultdict(dict)
        rows = connection.execute(
            "SELECT event_id, site, line, station FROM images JOIN streams"  # noqa: S608 - ours
            f" ON stream = {STREAM_OF_EVENT}"
            " WHERE NOT EXISTS (SELECT 1 FROM alerts WHERE id = event_id)"
        )
        for event_id, *where in rows.fetchall():
            self._waiting[StationTopics(*where)][event_id] = now_s()

    def add(self, station: StationTopics, event_id: str) -> None:
        """Note a stored picture without an alert; the station's oldest makes room."""
        waiting = self._waiting[station]
        waiting.setdefault(event_id, self._now_s())
        while len(waiting) > MAX_PER_STATION:
            self._remove(waiting, next(iter(waiting)))

    def announce(self, station: StationTopics, event_id: str) -> None:
        """Note that the alert of a picture has arrived."""
        if station in self._waiting:
            self._waiting[station].pop(event_id, None)

    def prune(self) -> int:
        """Remove pictures that have waited for too long, and return their number."""
        oldest_s, removed = self._now_s() - KEPT_S, 0
        for waiting in self._waiting.values():
            for event_id in [e for e, at_s in waiting.items() if at_s < oldest_s]:
                self._remove(waiting, event_id)
                removed += 1
        return removed

    def _remove(self, waiting: dict[str, float], event_id: str) -> None:
        del waiting[event_id]
        self._db.execute(
            "DELETE FROM images WHERE event_id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM alerts WHERE id = ?1)",
            (event_id,),
        )
