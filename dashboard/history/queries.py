"""Queries of what the stations sent; reads only, from any thread.

Charts and counters are read from the sums per minute, so that their cost does not grow
with the number of alerts.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    Row,
    Select,
    Table,
    cast,
    func,
    select,
)

from dashboard.history.database import Database
from dashboard.history.rollups import MS_PER_MINUTE, minute_of
from dashboard.history.tables.base import CAMERA, STATION
from dashboard.history.tables.received import (
    alerts,
    cameras,
    images,
    losses,
    ranges,
    stations,
    streams,
    verdicts,
)
from dashboard.history.tables.rollups import (
    alert_minutes,
    defect_minutes,
    part_minutes,
)
from dashboard.messages import INTEGER_MAX, iso_utc

PAGE_MAX_ROWS = 500
# Of alerts: 500 usual ones are 0.6 MB. Every page that connects gets so much at once.
PAGE_MAX_BYTES = 2 * 1024 * 1024
# An alert with 100 boxes is 20 kB. A larger one is listed with its surest boxes only,
# because the state of all cameras, with the last alert of each, is sent every second.
LISTED_MAX_BYTES = 32 * 1024
LISTED_DETECTIONS = 40
PARETO_MAX_CLASSES = 12  # others are added up: a chart of 40 bars is unreadable
MS_PER_HOUR = 60 * MS_PER_MINUTE
RATE_WINDOW_MINUTES = 10
CAMERAS_LOOKED_AT = 100  # one query for each

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChosenPlaces:
    """Some places of the plant.

    Attributes:
        names: Wanted names by column: site, line, station, camera; a column that is
            missing is not looked at.
    """

    names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def conditions(self, table: Table) -> list[ColumnElement[bool]]:
        """Return the conditions on a table with these columns."""
        return [table.c[name].in_(wanted) for name, wanted in self.names.items()]


ALL_PLACES = ChosenPlaces()


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A stored picture.

    Attributes:
        jpeg: JPEG, at most 128 kB.
    """

    sha256: str
    jpeg: bytes


class History:
    """Queries of the history.

    Every method raises ``sqlalchemy.exc.SQLAlchemyError`` when it cannot be read now.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def alerts(
        self,
        limit: int,
        *,
        before: int | None = None,
        after: int | None = None,
        chosen: ChosenPlaces = ALL_PLACES,
    ) -> list[Json]:
        """Return a page of alerts.

        Args:
            limit: Number of alerts, at most 500; fewer are returned where these are
                more than ``PAGE_MAX_BYTES``.
            before: Only alerts with a smaller cursor ``n``.
            after: Only alerts with a larger ``n``; these come oldest first, so that
                a query after the last one misses none.
            chosen: Only alerts of these places. Without a cursor, the last ones of
                each camera that the pages show are looked at.

        Returns:
            Newest first, or oldest first with ``after``.
        """
        limit = max(0, min(limit, PAGE_MAX_ROWS))
        query = _alerts().where(*chosen.conditions(alerts)).limit(limit)
        if before is not None:
            query = query.where(alerts.c.n < before)
        if after is not None:
            query = query.where(alerts.c.n > after)
        n = alerts.c.n
        query = query.order_by(n.asc() if after is not None else n.desc())
        with self._database.read() as connection:
            if chosen.names and before is None and after is None:
                last = _last_of_cameras(connection, chosen, limit)
                query = query.where(n.in_(last)) if last is not None else query
            rows = connection.execute(query)
            return [_alert(row) for row in _within_page(rows)]

    def alert(self, event_id: str) -> Json | None:
        """Return one alert by its id, any text; None if there is none."""
        with self._database.read() as connection:
            row = connection.execute(_alerts().where(alerts.c.id == event_id)).first()
        return _alert(row, is_listed=False) if row is not None else None

    def picture(self, event_id: str) -> StoredImage | None:
        """Return the picture of an alert, if it is the one that the alert announced."""
        i = images.c
        query = (
            select(i.sha256, i.jpeg)
            .join_from(images, alerts, alerts.c.id == i.event_id)
            .where(i.event_id == event_id, alerts.c.thumbnail_sha256 == i.sha256)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return StoredImage(row.sha256, bytes(row.jpeg)) if row is not None else None

    def newest(self) -> int:
        """Return the largest cursor ``n``, 0 where there is no alert."""
        with self._database.read() as connection:
            return connection.execute(select(func.max(alerts.c.n))).scalar() or 0

    def missing(self) -> int:
        """Return how many events are missing inside the streams of all stations."""
        with self._database.read() as connection:
            return _missing(connection).total()

    def stations(self, now_ms: int) -> list[Json]:
        """Return every station with its cameras: last states and counters.

        Args:
            now_ms: Wall clock, UTC; the counters cover the hour before it, in whole
                minutes.
        """
        with self._database.read() as connection:
            found: defaultdict[tuple[str, ...], list[Json]] = defaultdict(list)
            for camera in _cameras(connection, now_ms):
                found[camera["site"], camera["line"], camera["station"]].append(camera)
            missing = _missing(connection)
            s = stations.c
            rows = connection.execute(
                select(stations).order_by(s.site, s.line, s.station)
            )
            return [
                {
                    **_where(row),
                    "heard_ms": row.heard_ms or None,
                    "said_ms": row.said_ms or None,
                    "status": _parsed(row.status),
                    "missing": missing[row.site, row.line, row.station],
                    "cameras": found[row.site, row.line, row.station],
                }
                for row in rows
            ]

    def rate(
        self, now_ms: int, minutes: int, buckets: int, chosen: ChosenPlaces = ALL_PLACES
    ) -> Json:
        """Return alerts per minute over time.

        Args:
            now_ms: Wall clock, UTC; end of the last bucket.
            buckets: Number of points, at most one per minute is useful.
            chosen: Only alerts of these places.

        Returns:
            ``start_s`` of each bucket (Unix seconds), ``per_minute`` and ``alerts``.
        """
        step_ms = max(minutes * MS_PER_MINUTE // buckets, 1)
        # Whole steps, so that the same alert stays in the same bucket.
        start_ms = (now_ms // step_ms - buckets + 1) * step_ms
        found = [0] * buckets
        end_ms = start_ms + buckets * step_ms
        query = _counts_by_step(start_ms, step_ms, end_ms, chosen)
        with self._database.read() as connection:
            for bucket, count in connection.execute(query):
                found[bucket] = int(count)
        # The last bucket is not complete: divide by the part that has passed.
        passed_ms = [step_ms] * (buckets - 1) + [
            max(now_ms - start_ms - (buckets - 1) * step_ms, MS_PER_MINUTE)
        ]
        return {
            "start_s": [(start_ms + i * step_ms) // 1000 for i in range(buckets)],
            "alerts": found,
            "per_minute": [
                round(count * MS_PER_MINUTE / ms, 3)
                for count, ms in zip(found, passed_ms, strict=True)
            ],
            "step_s": step_ms / 1000,
        }

    def pareto(
        self, now_ms: int, minutes: int, chosen: ChosenPlaces = ALL_PLACES
    ) -> Json:
        """Return the number of defects of each class, most frequent first.

        Args:
            now_ms: Wall clock, UTC.
            minutes: Length of the period that ends now; it starts with a whole minute.
            chosen: Only defects of these places.

        Returns:
            ``classes`` with ``label``, ``count`` and cumulated ``share`` 0..1, the
            ``other`` defects beyond the twelfth class, and the ``total``.
        """
        d = defect_minutes.c
        query = (
            select(d.label, func.sum(d.defects))
            .where(d.minute_ms >= minute_of(now_ms - minutes * MS_PER_MINUTE))
            .where(*chosen.conditions(defect_minutes))
            .group_by(d.label)
        )
        with self._database.read() as connection:
            rows = [(label, int(n)) for label, n in connection.execute(query)]
        rows.sort(key=lambda row: (-row[1], row[0]))
        total = sum(count for _, count in rows)
        classes, cumulated = [], 0
        for label, count in rows[:PARETO_MAX_CLASSES]:
            cumulated += count
            share = round(cumulated / total, 4)
            classes.append({"label": label, "count": count, "share": share})
        return {"classes": classes, "other": total - cumulated, "total": total}

    def totals(self, now_ms: int) -> Json:
        """Return the totals of the whole history, at a wall-clock time in UTC."""
        hour_ms = now_ms - MS_PER_HOUR
        a, i = alerts.c, images.c
        mine = (i.event_id == a.id, i.sha256 == a.thumbnail_sha256)
        counts = {
            "alerts": select(func.count()).select_from(alerts),
            "alerts_last_hour": select(func.count()).where(a.happened_ms >= hour_ms),
            "images": select(func.count()).select_from(images),
            "verdicts": select(func.count()).select_from(verdicts),
            # As a number with a point: a sum of integers may be too large.
            "shed_by_stations": select(
                func.coalesce(func.sum(cast(losses.c.count, Float)), 0)
            ),
            "waiting_for_picture": select(func.count())
            .where(a.thumbnail_sha256.is_not(None), a.received_ms >= hour_ms)
            .where(~select(i.event_id).where(*mine).correlate(alerts).exists()),
        }
        with self._database.read() as connection:
            found = {
                name: min(int(connection.execute(query).scalar_one()), INTEGER_MAX)
                for name, query in counts.items()
            }
            known = connection.execute(_streams()).all()
        gaps = [
            {**row._asdict(), "events": int(row.events), "missing": _absent(row)}
            for row in known
            if _absent(row)
        ]
        return {**found, "streams": len(known), "gaps": gaps}


def _alerts() -> Select[Any]:
    """Return the query for alerts as ``_alert`` reads them."""
    a, i = alerts.c, images.c
    picture = (i.event_id == a.id) & (i.sha256 == a.thumbnail_sha256)
    columns = (a.n, a.id, a.happened_ms, a.received_ms, a.event, a.thumbnail_sha256)
    return select(*columns, i.sha256.label("image_sha256")).join_from(
        alerts, images, picture, isouter=True
    )


def _last_of_cameras(
    connection: Connection, chosen: ChosenPlaces, limit: int
) -> list[int] | None:
    """Return the last alerts of each camera that the pages show of some places.

    Returns:
        None where these are many cameras: their alerts are found soon without it.
    """
    a = alerts.c
    query = select(*(cameras.c[name] for name in CAMERA))
    query = query.where(*chosen.conditions(cameras)).limit(CAMERAS_LOOKED_AT + 1)
    known = connection.execute(query).all()
    if len(known) > CAMERAS_LOOKED_AT:
        return None
    found: list[int] = []
    for camera in known:
        mine = [a[name] == value for name, value in zip(CAMERA, camera, strict=True)]
        last = select(a.n).where(*mine).order_by(a.happened_ms.desc(), a.n.desc())
        found += connection.execute(last.limit(limit)).scalars()
    return sorted(found)[-limit:] if limit else []


def _counts_by_step(
    start_ms: int, step_ms: int, end_ms: int, chosen: ChosenPlaces
) -> "Select[int, int]":
    """Return the query for the alerts of each step, counted from 0."""
    table, at_ms = alert_minutes, alert_minutes.c.minute_ms
    count: ColumnElement[int] = func.sum(alert_minutes.c.alerts)
    if step_ms % MS_PER_MINUTE:  # parts of minutes
        table, at_ms, count = alerts, alerts.c.happened_ms, func.count()
    step = cast((at_ms - start_ms) // step_ms, BigInteger).label("step")
    inside = (at_ms >= start_ms, at_ms < end_ms, *chosen.conditions(table))
    return select(step, count).where(*inside).group_by(step)


def _where(row: Row[Any]) -> Json:
    return {name: getattr(row, name) for name in STATION}


def _parsed(text: str | None) -> Json | None:
    return json.loads(text) if text else None


def _streams() -> Select[Any]:
    """Return the query for the first, last and number of events of each stream."""
    s, r = streams.c, ranges.c
    events = func.sum(r.last_seq - r.first_seq + 1).label("events")
    first, last = func.min(r.first_seq), func.max(r.last_seq)
    query = select(
        *(s.stream, s.site, s.line, s.station),
        *(first.label("first_seq"), last.label("last_seq"), events),
    ).join_from(streams, ranges, s.stream_id == r.stream_id)
    return query.group_by(s.stream_id)


def _absent(row: Row[Any]) -> int:
    """Return how many events are missing between the first and the last one."""
    return int(row.last_seq - row.first_seq + 1 - row.events)


def _missing(connection: Connection) -> Counter[tuple[str, ...]]:
    """Return how many events of each station are missing inside its streams."""
    missing: Counter[tuple[str, ...]] = Counter()
    for row in connection.execute(_streams()):
        missing[row.site, row.line, row.station] += _absent(row)
    return missing


def _cameras(connection: Connection, now_ms: int) -> Iterator[Json]:
    """Yield every camera with its counters and its last alert."""
    start_ms = minute_of(now_ms - MS_PER_HOUR)
    recent_ms = minute_of(now_ms - RATE_WINDOW_MINUTES * MS_PER_MINUTE)
    hour = _sums_of_cameras(connection, start_ms)
    recent = _sums_of_cameras(connection, recent_ms)
    recent_minutes = (now_ms - recent_ms) / MS_PER_MINUTE
    parts = _parts_of_cameras(connection, start_ms)
    last_alerts = _last_alerts(connection)
    c = cameras.c
    query = select(cameras).order_by(c.site, c.line, c.station, c.camera)
    for row in connection.execute(query):
        key = (row.site, row.line, row.station, row.camera)
        yield {
            **_where(row),
            "camera": row.camera,
            "heard_ms": row.heard_ms or None,
            "status": _parsed(row.status),
            "stats": _parsed(row.stats),
            "alerts_last_hour": hour[key],
            "alerts_per_minute": round(recent[key] / recent_minutes, 2),
            "verdicts_last_hour": parts[key],
            "last_alert": last_alerts.get(key),
        }


def _sums_of_cameras(connection: Connection, start_ms: int) -> Counter[tuple[str, ...]]:
    m = alert_minutes.c
    key = (m.site, m.line, m.station, m.camera)
    query = select(*key, func.sum(m.alerts)).where(m.minute_ms >= start_ms)
    rows = connection.execute(query.group_by(*key))
    return Counter({(*camera,): int(count) for *camera, count in rows})


def _parts_of_cameras(
    connection: Connection, start_ms: int
) -> defaultdict[tuple[str, ...], dict[str, int]]:
    m = part_minutes.c
    key = (m.site, m.line, m.station, m.camera, m.verdict)
    query = select(*key, func.sum(m.parts)).where(m.minute_ms >= start_ms)
    found: defaultdict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
    for *camera, verdict, count in connection.execute(query.group_by(*key)):
        found[(*camera,)][verdict] = int(count)
    return found


def _last_alerts(connection: Connection) -> dict[tuple[str, ...], Json]:
    """Return the last alert of each camera."""
    a = alerts.c
    mine = [a[name] == cameras.c[name] for name in CAMERA]
    last = select(a.n).where(*mine).order_by(a.happened_ms.desc(), a.n.desc()).limit(1)
    query = select(last.correlate(cameras).scalar_subquery()).select_from(cameras)
    cursors = [n for n in connection.execute(query).scalars() if n is not None]
    found = {}
    for row in connection.execute(_alerts().where(a.n.in_(cursors))):
        alert = _alert(row)
        found[tuple(alert[name] for name in CAMERA)] = alert
    return found


def _within_page(rows: Iterable[Row[Any]]) -> Iterator[Row[Any]]:
    """Yield rows up to ``PAGE_MAX_BYTES``; the one that passes it is the last."""
    left_bytes = PAGE_MAX_BYTES
    for row in rows:
        yield row
        left_bytes -= len(row.event)
        if left_bytes < 0:
            return


def _alert(row: Row[Any], *, is_listed: bool = True) -> Json:
    """Return an alert in the form of the API.

    Args:
        is_listed: One of many; of a very large one only the surest boxes are returned.
    """
    event = json.loads(row.event)
    data = event["data"]
    if is_listed and len(row.event) > LISTED_MAX_BYTES:
        boxes = sorted(data["detections"], key=lambda each: -each["score"])
        data = {**data, "detections": boxes[:LISTED_DETECTIONS]}
    return {
        **data,  # first: a key that a sender adds must not replace one of these
        "n": row.n,
        "id": row.id,
        "happened_ms": row.happened_ms,
        "received_ms": row.received_ms,
        "received_at": iso_utc(row.received_ms),
        "has_image": row.image_sha256 is not None,
        "awaits_image": bool(row.thumbnail_sha256) and row.image_sha256 is None,
    }
