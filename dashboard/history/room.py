"""The room of a nearly full history, which the stations share.

What one station sends must not keep the alerts of another one out. When little room is
left, the oldest pictures of the station that holds the most are removed: pictures take
nearly all the room, and an alert without its picture still states what was found. A
station that holds the most without any picture has to wait: its new events are refused
and not acknowledged, so that it keeps them, and the others use the room that is left.

In PostgreSQL the room is the disk of the server, which the dashboard cannot see: only
when the server reports a full disk are pictures removed.
"""

import time
from collections.abc import Callable

from sqlalchemy import (
    Connection,
    Select,
    delete,
    func,
    literal,
    or_,
    select,
    union_all,
)

from dashboard.history.database import Database
from dashboard.history.tables.received import (
    alerts,
    conflicts,
    images,
    streams,
    verdicts,
)
from dashboard.history.unannounced import stream_of_picture
from models.topics import StationTopics

PICTURES_AT_ONCE = 50  # 3 MB of usual pictures: room for thousands of alerts
KEPT_SHARE = 10  # a tenth of the room is for stations that do not hold the most ...
KEPT_MIN_BYTES = 1024 * 1024  # ... at least this: any event fits, with its boxes
KEPT_MAX_BYTES = 64 * 1024 * 1024  # ... and up to this: 50,000 alerts
# Adding up a history of 1,000,000 alerts takes some seconds.
WEIGH_EVERY_S = 30.0


class Room:
    """The room of one history. Used by its writer's thread.

    Args:
        now_s: Monotonic clock.

    Attributes:
        waiting: The station whose new events are refused.
    """

    def __init__(
        self, database: Database, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._database, self._now_s = database, now_s
        self._weighed_s = -WEIGH_EVERY_S
        self.waiting: StationTopics | None = None

    def is_short(self) -> bool:
        """Return whether pictures have to make room, or a station has to wait."""
        space = self._database.space()
        if space is None:
            return False
        kept_bytes = min(
            max(space.limit_bytes // KEPT_SHARE, KEPT_MIN_BYTES),
            space.limit_bytes // 2,  # of a history of 1 MiB
            KEPT_MAX_BYTES,
        )
        if space.free_bytes >= kept_bytes:
            self.waiting = None
            return False
        return self.waiting is None or self._now_s() >= self._weighed_s + WEIGH_EVERY_S

    def make(self, connection: Connection) -> int:
        """Remove some pictures, inside the caller's transaction; return their number.

        Pictures whose alert has not arrived are among them only if there is another
        station: a station that is alone would send its own picture again and again.
        """
        self.waiting = None
        largest = connection.execute(_largest()).first()
        if largest is None:
            return 0
        s, i = streams.c, images.c
        known = select(s.site, s.line, s.station).distinct().limit(2)
        is_alone = len(connection.execute(known).all()) < 2
        announced = select(alerts.c.n).where(alerts.c.id == i.event_id).exists()
        oldest = (
            select(i.event_id)
            .join_from(images, streams, s.stream == stream_of_picture())
            .where(s.site == largest.site, s.line == largest.line)
            .where(s.station == largest.station)
            .where(or_(announced, literal(not is_alone)))
            .order_by(i.received_ms)
            .limit(PICTURES_AT_ONCE)
        )
        found = connection.execute(oldest).scalars().all()
        if found:
            connection.execute(delete(images).where(i.event_id.in_(found)))
        elif not is_alone:
            self.waiting = StationTopics(largest.site, largest.line, largest.station)
            self._weighed_s = self._now_s()
        return len(found)


def _largest() -> Select[tuple[str, str, str]]:
    """Return the query for the station that holds the most."""
    s = streams.c

    events = [
        select(
            *(table.c.site, table.c.line, table.c.station),
            func.length(table.c.event).label("size"),
        )
        for table in (alerts, verdicts, conflicts)
    ]
    pictures = select(
        *(s.site, s.line, s.station), func.length(images.c.jpeg).label("size")
    ).join_from(images, streams, s.stream == stream_of_picture())
    parts = union_all(*events, pictures).subquery()
    station = (parts.c.site, parts.c.line, parts.c.station)
    query = select(*station).group_by(*station)
    return query.order_by(func.sum(parts.c.size).desc()).limit(1)
