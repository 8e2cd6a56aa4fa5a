"""Pictures whose alert has not arrived: few of each station, and not for long.

A picture is sent before its alert, and acknowledged to the station only with it: a
picture that is removed here is sent again with its alert. Without these limits, a
station that sends pictures of no alert fills the history of all.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, Connection, delete, func, select

from dashboard.history.tables.received import alerts, images, streams
from models.topics import StationTopics

# The broker sends 200 messages before it waits: no station has more on the way.
MAX_PER_STATION = 200
KEPT_S = 15 * 60.0


def stream_of_picture() -> ColumnElement[str]:
    """Return the stream of the id <stream>:<seq>; it may end with a colon, too."""
    event_id = images.c.event_id
    length = func.length(func.rtrim(event_id, "0123456789"))
    return func.substr(event_id, 1, length - 1)


class UnannouncedPictures:
    """Removes pictures without an alert.

    Args:
        connection: It reads the history, for this call only.
        now_s: Monotonic clock.
    """

    def __init__(
        self, connection: Connection, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._now_s = now_s
        # By station: event id to the time of arrival, oldest first.
        self._waiting: defaultdict[StationTopics, dict[str, float]]
        self._waiting = defaultdict(dict)
        s = streams.c
        rows = connection.execute(
            select(images.c.event_id, s.site, s.line, s.station)
            .join_from(images, streams, s.stream == stream_of_picture())
            .where(_has_no_alert())
        )
        for event_id, *where in rows:
            self._waiting[StationTopics(*where)][event_id] = now_s()

    def add(self, station: StationTopics, event_id: str) -> None:
        """Note a picture without an alert."""
        self._waiting[station].setdefault(event_id, self._now_s())

    def announce(self, station: StationTopics, event_id: str) -> None:
        """Note that the alert of a picture has arrived."""
        if station in self._waiting:
            self._waiting[station].pop(event_id, None)

    def limit(self, connection: Connection) -> None:
        """Remove the oldest ones of each station that has too many."""
        self._remove(
            connection,
            [
                event_id
                for waiting in self._waiting.values()
                for event_id in list(waiting)[: max(0, len(waiting) - MAX_PER_STATION)]
            ],
        )

    def prune(self, connection: Connection) -> int:
        """Remove pictures that have waited for too long, and return their number."""
        oldest_s = self._now_s() - KEPT_S
        old = [
            event_id
            for waiting in self._waiting.values()
            for event_id, at_s in waiting.items()
            if at_s < oldest_s
        ]
        self._remove(connection, old)
        return len(old)

    def _remove(self, connection: Connection, event_ids: Sequence[str]) -> None:
        if not event_ids:
            return
        connection.execute(
            delete(images).where(images.c.event_id.in_(event_ids), _has_no_alert())
        )
        gone = set(event_ids)
        for waiting in self._waiting.values():
            for event_id in gone & waiting.keys():
                del waiting[event_id]


def _has_no_alert() -> ColumnElement[bool]:
    mine = select(alerts.c.n).where(alerts.c.id == images.c.event_id)
    return ~mine.correlate(images).exists()
