"""Queries of the history; reads only, from any thread.

Every query opens its own read-only connection (0.2 ms). No pool and no rules for
threads are needed, and a page that hangs keeps no connection open.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.history.schema import open_for_reading
from dashboard.messages import iso_utc

PAGE_MAX_ROWS = 500
# Of alerts: 500 usual ones are 0.6 MB. Every page that connects gets so much at once.
PAGE_MAX_BYTES = 2 * 1024 * 1024
# An alert with 100 boxes is 20 kB. A larger one is listed with its surest boxes only,
# because the state of all cameras, with the last alert of each, is sent every second.
LISTED_MAX_BYTES = 32 * 1024
LISTED_DETECTIONS = 40
PARETO_MAX_CLASSES = 12  # others are added up: a chart of 40 bars is unreadable
MS_PER_MINUTE = 60 * 1000
MS_PER_HOUR = 60 * MS_PER_MINUTE
RATE_WINDOW_MINUTES = 10

Json = dict[str, Any]

ALERT_COLUMNS = (
    "a.n, a.id, a.happened_ms, a.received_ms, a.event, a.thumbnail_sha256, i.sha256"
    " AS image_sha256 FROM alerts a LEFT JOIN images i ON i.event_id = a.id"
    " AND i.sha256 = a.thumbnail_sha256"
)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A stored picture.

    Attributes:
        jpeg: JPEG, at most 128 kB.
    """

    sha256: str
    jpeg: bytes


class History:
    """Queries of the history file.

    Every method raises ``sqlite3.Error`` when the file cannot be read now.

    Args:
        path: The history file, which exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def alerts(
        self, limit: int, *, before: int | None = None, after: int | None = None
    ) -> list[Json]:
        """Return a page of alerts.

        Args:
            limit: Number of alerts, at most 500; fewer are returned where these are
                more than ``PAGE_MAX_BYTES``.
            before: Only alerts with a smaller cursor ``n``.
            after: Only alerts with a larger ``n``; these come oldest first, so that
                a query after the last one misses none.

        Returns:
            Newest first, or oldest first with ``after``.
        """
        conditions, values = ["1"], []
        if before is not None:
            conditions.append("a.n < ?")
            values.append(before)
        if after is not None:
            conditions.append("a.n > ?")
            values.append(after)
        order = "ASC" if after is not None else "DESC"
        with self._open() as db:
            rows = db.execute(
                f"SELECT {ALERT_COLUMNS} WHERE {' AND '.join(conditions)}"
                f" ORDER BY a.n {order} LIMIT ?",
                (*values, max(0, min(limit, PAGE_MAX_ROWS))),
            )
            return [_alert(row) for row in _within_page(rows)]

    def alert(self, event_id: str) -> Json | None:
        """Return one alert by its id, any text; None if there is none."""
        with self._open() as db:
            row = db.execute(
                f"SELECT {ALERT_COLUMNS} WHERE a.id = ?",
                (event_id,),
            ).fetchone()
        return _alert(row, is_listed=False) if row is not None else None

    def picture(self, event_id: str) -> StoredImage | None:
        """Return the picture of an alert, if it is the one that the alert announced."""
        with self._open() as db:
            row = db.execute(
                "SELECT i.sha256, i.jpeg FROM images i JOIN alerts a"
                " ON a.id = i.event_id AND a.thumbnail_sha256 = i.sha256"
                " WHERE i.event_id = ?",
                (event_id,),
            ).fetchone()
        return StoredImage(row["sha256"], row["jpeg"]) if row is not None else None

    def newest(self) -> int:
        """Return the largest cursor ``n``, 0 where there is no alert."""
        with self._open() as db:
            (n,) = db.execute("SELECT coalesce(max(n), 0) FROM alerts").fetchone()
        return int(n)

    def missing(self) -> int:
        """Return how many events are missing inside the streams of all stations."""
        with self._open() as db:
            rows = db.execute(
                "SELECT min(first_seq) AS first_seq, max(last_seq) AS last_seq,"
                " sum(last_seq - first_seq + 1) AS events FROM ranges"
                " GROUP BY stream_id"
            )
            return sum(_absent(row) for row in rows)

    def stations(self, now_ms: int) -> list[Json]:
        """Return every station with its cameras: last states and counters.

        Args:
            now_ms: Wall clock, UTC; the counters cover the hour before it.
        """
        with self._open() as db:
            cameras = [
                _camera(db, row, now_ms)
                for row in db.execute(
                    "SELECT * FROM cameras ORDER BY site, line, station, camera"
                ).fetchall()
            ]
            stations = db.execute(
                "SELECT * FROM stations ORDER BY site, line, station"
            ).fetchall()
            return [
                {
                    **_where(row),
                    "heard_ms": row["heard_ms"] or None,
                    "said_ms": row["said_ms"] or None,
                    "status": _parsed(row["status"]),
                    "missing": _missing(db, row),
                    "cameras": [
                        each for each in cameras if _where(each) == _where(row)
                    ],
                }
                for row in stations
            ]

    def rate(self, now_ms: int, minutes: int, buckets: int) -> Json:
        """Return alerts per minute over time.

        Args:
            now_ms: Wall clock, UTC; end of the last bucket.
            buckets: Number of points, at most one per minute is useful.

        Returns:
            ``start_s`` of each bucket (Unix seconds), ``per_minute`` and ``alerts``.
        """
        step_ms = max(minutes * MS_PER_MINUTE // buckets, 1)
        # Whole steps, so that the same alert stays in the same bucket.
        start_ms = (now_ms // step_ms - buckets + 1) * step_ms
        with self._open() as db:
            counts = dict(
                db.execute(
                    "SELECT (happened_ms - ?1) / ?2 AS bucket, count(*) FROM alerts"
                    " WHERE happened_ms >= ?1 AND happened_ms < ?3 GROUP BY bucket",
                    (start_ms, step_ms, start_ms + buckets * step_ms),
                ).fetchall()
            )
        alerts = [int(counts.get(bucket, 0)) for bucket in range(buckets)]
        # The last bucket is not complete: divide by the part that has passed.
        passed_ms = [step_ms] * (buckets - 1) + [
            max(now_ms - start_ms - (buckets - 1) * step_ms, MS_PER_MINUTE)
        ]
        return {
            "start_s": [(start_ms + i * step_ms) // 1000 for i in range(buckets)],
            "alerts": alerts,
            "per_minute": [
                round(count * MS_PER_MINUTE / ms, 3)
                for count, ms in zip(alerts, passed_ms, strict=True)
            ],
            "step_s": step_ms / 1000,
        }

    def pareto(self, now_ms: int, minutes: int) -> Json:
        """Return the number of defects of each class, most frequent first.

        Args:
            now_ms: Wall clock, UTC.
            minutes: Length of the period that ends now.

        Returns:
            ``classes`` with ``label``, ``count`` and cumulated ``share`` 0..1, the
            ``other`` defects beyond the twelfth class, and the ``total``.
        """
        with self._open() as db:
            rows = db.execute(
                "SELECT label, count(*) AS defects FROM detections"
                " WHERE happened_ms >= ? GROUP BY label ORDER BY defects DESC, label",
                (now_ms - minutes * MS_PER_MINUTE,),
            ).fetchall()
        total = sum(row["defects"] for row in rows)
        classes, cumulated = [], 0
        for row in rows[:PARETO_MAX_CLASSES]:
            cumulated += row["defects"]
            share = round(cumulated / total, 4)
            classes.append(
                {"label": row["label"], "count": row["defects"], "share": share}
            )
        return {"classes": classes, "other": total - cumulated, "total": total}

    def totals(self, now_ms: int) -> Json:
        """Return the totals of the whole history, at a wall-clock time in UTC."""
        with self._open() as db:
            row = db.execute(
                "SELECT (SELECT count(*) FROM alerts) AS alerts,"
                " (SELECT count(*) FROM alerts WHERE happened_ms >= ?)"
                " AS alerts_last_hour,"
                " (SELECT count(*) FROM images) AS images,"
                " (SELECT count(*) FROM verdicts) AS verdicts,"
                " (SELECT cast(total(count) AS INTEGER) FROM losses)"
                " AS shed_by_stations,"
                " (SELECT count(*) FROM alerts a WHERE thumbnail_sha256 IS NOT NULL"
                "  AND received_ms >= ? AND NOT EXISTS (SELECT 1 FROM images"
                "  WHERE event_id = a.id AND sha256 = a.thumbnail_sha256))"
                " AS waiting_for_picture",
                (now_ms - MS_PER_HOUR, now_ms - MS_PER_HOUR),
            ).fetchone()
            streams = db.execute(
                "SELECT stream, site, line, station, min(first_seq) AS first_seq,"
                " max(last_seq) AS last_seq, sum(last_seq - first_seq + 1) AS events"
                " FROM streams JOIN ranges USING (stream_id) GROUP BY stream_id"
            ).fetchall()
        gaps = [
            {**dict(each), "missing": _absent(each)}
            for each in streams
            if _absent(each)
        ]
        return {**dict(row), "streams": len(streams), "gaps": gaps}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one query, which reads one snapshot of it."""
        connection = open_for_reading(self._path)
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()


def _where(row: sqlite3.Row | Json) -> Json:
    return {name: row[name] for name in ("site", "line", "station")}


def _parsed(text: str | None) -> Json | None:
    return json.loads(text) if text else None


def _absent(row: sqlite3.Row) -> int:
    """Return how many events are missing between the first and the last one."""
    return int(row["last_seq"] - row["first_seq"] + 1 - row["events"])


def _missing(db: sqlite3.Connection, station: sqlite3.Row) -> int:
    """Return how many events of a station are missing inside its streams."""
    rows = db.execute(
        "SELECT min(first_seq) AS first_seq, max(last_seq) AS last_seq,"
        " sum(last_seq - first_seq + 1) AS events FROM streams"
        " JOIN ranges USING (stream_id) WHERE site = ? AND line = ? AND station = ?"
        " GROUP BY stream_id",
        (station["site"], station["line"], station["station"]),
    )
    return sum(_absent(row) for row in rows)


def _camera(db: sqlite3.Connection, row: sqlite3.Row, now_ms: int) -> Json:
    where = (row["site"], row["line"], row["station"], row["camera"])
    mine = "site = ? AND line = ? AND station = ? AND camera = ?"
    (last_hour, last_minutes) = db.execute(
        "SELECT count(*), coalesce(sum(happened_ms >= ?), 0) "  # noqa: S608 - ours
        f"FROM alerts WHERE {mine} AND happened_ms >= ?",
        (now_ms - RATE_WINDOW_MINUTES * MS_PER_MINUTE, *where, now_ms - MS_PER_HOUR),
    ).fetchone()
    verdicts = dict(
        db.execute(
            f"SELECT verdict, count(*) FROM verdicts WHERE {mine}"  # noqa: S608 - ours
            " AND happened_ms >= ? GROUP BY verdict",
            (*where, now_ms - MS_PER_HOUR),
        ).fetchall()
    )
    last = db.execute(
        f"SELECT {ALERT_COLUMNS} WHERE a.n = (SELECT n FROM alerts"  # noqa: S608 - ours
        f" WHERE {mine} ORDER BY happened_ms DESC, n DESC LIMIT 1)",
        where,
    ).fetchone()
    return {
        **_where(row),
        "camera": row["camera"],
        "heard_ms": row["heard_ms"] or None,
        "status": _parsed(row["status"]),
        "stats": _parsed(row["stats"]),
        "alerts_last_hour": last_hour,
        "alerts_per_minute": round(last_minutes / RATE_WINDOW_MINUTES, 2),
        "verdicts_last_hour": verdicts,
        "last_alert": _alert(last) if last is not None else None,
    }


def _within_page(rows: Iterable[sqlite3.Row]) -> Iterator[sqlite3.Row]:
    """Yield rows up to ``PAGE_MAX_BYTES``; the one that passes it is the last."""
    left_bytes = PAGE_MAX_BYTES
    for row in rows:
        yield row
        left_bytes -= len(row["event"])
        if left_bytes < 0:
            return


def _alert(row: sqlite3.Row, *, is_listed: bool = True) -> Json:
    """Return an alert in the form of the API.

    Args:
        is_listed: One of many; of a very large one only the surest boxes are returned.
    """
    event = json.loads(row["event"])
    data = event["data"]
    if is_listed and len(row["event"]) > LISTED_MAX_BYTES:
        boxes = sorted(data["detections"], key=lambda each: -each["score"])
        data = {**data, "detections": boxes[:LISTED_DETECTIONS]}
    return {
        **data,  # first: a key that a sender adds must not replace one of these
        "n": row["n"],
        "id": row["id"],
        "happened_ms": row["happened_ms"],
        "received_ms": row["received_ms"],
        "received_at": iso_utc(row["received_ms"]),
        "has_image": row["image_sha256"] is not None,
        "awaits_image": bool(row["thumbnail_sha256"]) and row["image_sha256"] is None,
    }
