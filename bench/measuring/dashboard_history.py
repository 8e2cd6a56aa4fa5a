"""A month of a plant in the dashboard's history: alerts, parts, verdicts and models.

20 cameras in four lines count every part. Each of the alerts is a real one of about
1 kB and is stored by the collector's own writer, so that all sums are as in use. What
the stations send besides is one row for each minute and camera: the parts that it
inspected. Two of a hundred alerts have an operator's verdict, and each station gets
another build of its model twice.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import func, select, text

from dashboard.history.database import Database, add_up_many, insert_many
from dashboard.history.reviews import OperatorVerdict, Review, ReviewKind, add_review
from dashboard.history.rollups import MS_PER_MINUTE, minute_of
from dashboard.history.store import Store
from dashboard.history.tables import metadata
from dashboard.history.tables.operations import model_changes
from dashboard.history.tables.received import meta
from dashboard.history.tables.rollups import part_hours, part_minutes
from dashboard.ingest.writer import BATCH_MESSAGES
from dashboard.messages import Message, Record, read_message
from dashboard.plant_time import MS_PER_HOUR
from models.messages import VerdictKind
from models.topics import StationTopics
from tests.simulators.plant import SimCameraPlace
from tests.simulators.station import MODEL, alert_event, detection

STATIONS, LINES = 20, 4
LABELS = ("scratch", "dent", "stain", "crack", "burr")
PARTS_PER_MINUTE = 30
REPEATS = 15
DENSE = timedelta(microseconds=100)  # between two alerts
FILL_BATCH = 2000
COPIED_ROWS = 20_000
JUDGED_SHARE = 50  # one alert of so many has an operator's verdict
MS = 1000.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is stored.

    Attributes:
        count: Alerts in all.
        ingest: Of them, stored at the highest rate at the start, and at the end.
    """

    count: int
    ingest: int
    days: int
    end: datetime

    @property
    def start(self) -> datetime:
        """When the first alert was raised."""
        return self.end - timedelta(days=self.days)


def places() -> list[SimCameraPlace]:
    """Return the cameras, one at each station."""
    return [
        SimCameraPlace(f"line-{n % LINES + 1}", f"press-{n}", seed=n)
        for n in range(STATIONS)
    ]


def alerts(
    first: int, count: int, start: datetime, spacing: timedelta
) -> Iterator[Record]:
    """Yield alerts of all stations in turn, as they come in.

    Args:
        first: Number of the first one, which makes its position in its stream.
    """
    topics = [each.topics for each in places()]
    for number in range(count):
        place = first + number - 1
        station, seq = topics[place % STATIONS], place // STATIONS + 1
        yield alert_record(station, seq, start + spacing * number)


def alert_record(station: StationTopics, seq: int, at: datetime) -> Record:
    """Return an alert with one or two defects, as the collector reads it."""
    labels = [LABELS[(seq * 7 + n) % len(LABELS)] for n in range(1 + seq % 2)]
    boxes = tuple(detection(label) for label in labels)
    event = alert_event(station, seq, detections=boxes, captured_at=at)
    topic, payload = station.camera("top", "alert"), event.model_dump_json()
    at_ms = int(at.timestamp() * MS)
    record = read_message(Message(topic, payload.encode(), at_ms))
    if not isinstance(record, Record):
        raise TypeError(record)
    return record


def store(
    database: Database, records: Iterator[Record], batch: int = BATCH_MESSAGES
) -> float:
    """Store alerts, and return the seconds that the store needed."""
    writer, took_s = Store(database), 0.0
    while part := list(islice(records, batch)):
        started_s = time.perf_counter()
        committed = writer.record(part)
        took_s += time.perf_counter() - started_s
        if len(committed.alerts) != len(part):
            raise RuntimeError(committed.rejections)
    return took_s


def fill(database: Database, extent: Extent) -> dict[str, int]:
    """Store everything, and return the rates at the start and at the end."""
    ingest, start = extent.ingest, extent.start
    count = extent.count - 2 * ingest
    empty_s = store(database, alerts(1, ingest, start, DENSE))
    spacing = timedelta(days=extent.days) / count
    store(database, alerts(ingest + 1, count, start, spacing), FILL_BATCH)
    _add_rest(database, extent)
    full_s = store_next(database, extent, count + ingest)
    return {
        "ingest_per_s": round(ingest / empty_s),
        "ingest_into_full_history_per_s": round(ingest / full_s),
    }


def store_next(database: Database, extent: Extent, stored: int) -> float:
    """Store further alerts, and return the seconds that the store needed.

    Args:
        stored: Number of those that are stored.
    """
    return store(database, alerts(stored + 1, extent.ingest, extent.end, DENSE))


def copy_history(source: Database, target: Database) -> None:
    """Copy everything into an empty history in PostgreSQL."""
    # Reading a table takes longer than the pages may read.
    with source.write() as reading:
        for table in metadata.sorted_tables:
            if table is meta:
                continue
            rows = reading.execution_options(yield_per=COPIED_ROWS).execute(
                select(table)
            )
            for part in rows.mappings().partitions():
                with target.write() as connection:
                    insert_many(connection, table, [dict(row) for row in part])
    _count_on(target)


def _count_on(target: Database) -> None:
    """Let new rows get numbers after those that were copied."""
    with target.write() as connection:
        for table in metadata.sorted_tables:
            key = next(iter(table.primary_key.columns))
            largest = connection.scalar(select(func.max(key)))
            if isinstance(largest, int):
                # Without such numbers the name is NULL, and nothing is set.
                name = f"pg_get_serial_sequence('{table.name}', '{key.name}')"
                connection.execute(text(f"SELECT setval({name}, {largest})"))


def _add_rest(database: Database, extent: Extent) -> None:
    """Add states, parts, models and operators' verdicts."""
    writer = Store(database)
    for place in places():
        writer.record(place.status())
    for rows in _parts(extent):
        with database.write() as connection:
            add_up_many(connection, part_minutes, part_hours, MS_PER_HOUR, rows)
    with database.write() as connection:
        insert_many(connection, model_changes, _models(extent))
    _judge(database, extent)


def _parts(extent: Extent) -> Iterator[list[dict[str, Any]]]:
    first = minute_of(int(extent.start.timestamp() * MS))
    minutes = extent.days * 24 * 60
    where = sorted((each.line, each.station) for each in places())
    verdicts = {VerdictKind.DEFECT: 1, VerdictKind.OK: PARTS_PER_MINUTE - 1}
    rows: list[dict[str, Any]] = []
    for minute in range(first, first + minutes * MS_PER_MINUTE, MS_PER_MINUTE):
        rows += [
            {
                "minute_ms": minute,
                "site": "plant",
                "line": line,
                "station": station,
                "camera": "top",
                "verdict": verdict.value,
                "parts": parts,
            }
            for line, station in where
            for verdict, parts in verdicts.items()
        ]
        if len(rows) >= COPIED_ROWS:
            yield rows
            rows = []
    yield rows


def _models(extent: Extent) -> list[dict[str, Any]]:
    changes = []
    for number, share in enumerate((0.0, 0.3, 0.8)):
        at = extent.start + timedelta(days=extent.days) * share
        changes += [
            {
                "site": "plant",
                "line": each.line,
                "station": each.station,
                "at_ms": int(at.timestamp() * MS),
                "name": MODEL.name,
                "build": MODEL.build - 2 + number,
                "sha256": MODEL.sha256,
                "variant": MODEL.variant,
            }
            for each in places()
        ]
    return changes


def _judge(database: Database, extent: Extent) -> None:
    numbers = range(JUDGED_SHARE, extent.count - extent.ingest, JUDGED_SHARE)
    at_ms = int(extent.end.timestamp() * MS)
    verdicts = (OperatorVerdict.REAL, OperatorVerdict.FALSE_ALARM)
    for part, verdict in enumerate(verdicts):
        ids = [event_id(number) for number in numbers[part :: len(verdicts)]]
        review = Review(ReviewKind.VERDICT, verdict)
        with database.write() as connection:
            add_review(connection, "ann", ids, review, at_ms=at_ms)


def event_id(number: int) -> str:
    """Return the id of an alert by its number, from 1."""
    place, seq = (number - 1) % STATIONS, (number - 1) // STATIONS + 1
    return f"press-{place}-00ff:{seq}"


def newest_day() -> datetime:
    """Return the end of the month: now."""
    return datetime.now(UTC).replace(microsecond=0)


def timed(query: Callable[[], object], repeats: int = REPEATS) -> dict[str, float]:
    """Return how long a query takes, in milliseconds."""
    query()
    found = []
    for _ in range(repeats):
        started_s = time.perf_counter()
        query()
        found.append((time.perf_counter() - started_s) * MS)
    return summary(found)


def summary(found_ms: Sequence[float]) -> dict[str, float]:
    """Return median and longest of some times in milliseconds."""
    return {
        "median_ms": round(statistics.median(found_ms), 2),
        "longest_ms": round(max(found_ms), 2),
    }
