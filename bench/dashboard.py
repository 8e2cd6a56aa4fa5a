"""How fast the dashboard stores alerts, and how fast pages are read from many of them.

``python bench/dashboard.py``. Stored: real alerts of about 1 kB, from 20 stations with
one camera each, in batches as the collector's writer makes them under load, each batch
one commit on the disk. Read: the queries of the pages over a history of ``--alerts``
alerts in ``--days`` days. Both in SQLite and in PostgreSQL, whose server runs on the
same machine with its default settings. Result: ``bench/results/dashboard.json``.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from measuring.machine import RESULTS, configuration, describe_machine, write_result

from dashboard.history.database import Database
from dashboard.history.queries import History
from dashboard.history.store import Store
from dashboard.ingest.writer import BATCH_MESSAGES
from dashboard.messages import Message, Record, read_message
from dashboard.postgresql_login import PostgresqlLogin
from models.topics import StationTopics
from tests.simulators.postgresql import PostgresqlServer
from tests.simulators.station import alert_event, detection

STATIONS = 20
LABELS = ("scratch", "dent", "stain", "crack", "burr")
SHIFT_MINUTES = 480
REPEATS = 15
DENSE = timedelta(microseconds=100)  # between two alerts
MS = 1000.0


def alerts(
    first: int, count: int, start: datetime, spacing: timedelta
) -> Iterator[Record]:
    """Yield alerts of all stations in turn, as they come in.

    Args:
        first: Number of the first one, which makes its position in its stream.
    """
    topics = [StationTopics("plant", "line-1", f"press-{n}") for n in range(STATIONS)]
    for number in range(count):
        place = first + number - 1
        station, seq = topics[place % STATIONS], place // STATIONS + 1
        labels = [LABELS[(seq * 7 + n) % len(LABELS)] for n in range(1 + seq % 2)]
        at = start + spacing * number
        boxes = tuple(detection(label) for label in labels)
        event = alert_event(station, seq, detections=boxes, captured_at=at)
        message = Message(
            station.camera("top", "alert"),
            event.model_dump_json().encode(),
            int(at.timestamp() * MS),
        )
        record = read_message(message)
        if not isinstance(record, Record):
            raise TypeError(record)
        yield record


def store(database: Database, records: Iterator[Record]) -> float:
    """Store alerts, and return the seconds that the store needed."""
    writer, took_s = Store(database), 0.0
    while batch := list(islice(records, BATCH_MESSAGES)):
        started_s = time.perf_counter()
        committed = writer.record(batch)
        took_s += time.perf_counter() - started_s
        if len(committed.alerts) != len(batch):
            raise RuntimeError(committed.rejections)
    return took_s


def timed(query: Callable[[], object]) -> dict[str, float]:
    """Return how long a query takes, in milliseconds."""
    query()
    found = []
    for _ in range(REPEATS):
        started_s = time.perf_counter()
        query()
        found.append((time.perf_counter() - started_s) * MS)
    return {
        "median_ms": round(statistics.median(found), 2),
        "longest_ms": round(max(found), 2),
    }


def measure_queries(database: Database, now_ms: int) -> dict[str, Any]:
    """Return how long the queries of the pages take."""
    history = History(database)
    middle = history.newest() // 2
    return {
        "pareto_of_a_shift": timed(lambda: history.pareto(now_ms, SHIFT_MINUTES)),
        "pareto_of_a_week": timed(lambda: history.pareto(now_ms, 7 * 24 * 60)),
        "rate_of_a_shift": timed(lambda: history.rate(now_ms, SHIFT_MINUTES, 60)),
        "state_of_all_cameras": timed(lambda: history.stations(now_ms)),
        "newest_50_alerts": timed(lambda: history.alerts(50)),
        "50_alerts_from_the_middle": timed(lambda: history.alerts(50, before=middle)),
        "totals": timed(lambda: history.totals(now_ms)),
    }


def measure(
    location: Path | PostgresqlLogin, args: argparse.Namespace
) -> dict[str, Any]:
    """Return the figures of one kind of database."""
    end = datetime.now(UTC).replace(microsecond=0)
    start = end - timedelta(days=args.days)
    count = args.alerts - 2 * args.ingest
    # As dense as they come in at the rate that is measured.
    first = alerts(1, args.ingest, start, DENSE)
    rest = alerts(args.ingest + 1, count, start, timedelta(days=args.days) / count)
    last = alerts(args.ingest + count + 1, args.ingest, end, DENSE)
    with Database(location) as database:
        empty_s = store(database, first)
        store(database, rest)
        full_s = store(database, last)
        result: dict[str, Any] = {
            "ingest_per_s": round(args.ingest / empty_s),
            "ingest_into_full_history_per_s": round(args.ingest / full_s),
            "queries": measure_queries(database, int(end.timestamp() * MS)),
        }
    if isinstance(location, Path):
        result["file_mb"] = round(location.stat().st_size / (1 << 20))
    return result


def main() -> int:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=1_000_000, help="in all")
    parser.add_argument("--ingest", type=int, default=50_000, help="timed at a time")
    parser.add_argument("--days", type=int, default=30, help="that the alerts cover")
    parser.add_argument("--out", type=Path, default=RESULTS / "dashboard.json")
    args = parser.parse_args()
    document: dict[str, Any] = {
        "machine": describe_machine(),
        "configuration": {**configuration(args), "batch": BATCH_MESSAGES},
    }
    with tempfile.TemporaryDirectory() as folder:
        document["sqlite"] = measure(Path(folder) / "history.sqlite3", args)
        print("sqlite", document["sqlite"], file=sys.stderr)
    server = PostgresqlServer(is_durable=True)
    server.start()
    try:
        document["postgresql"] = measure(server.new_database(), args)
    finally:
        server.remove()
    print("postgresql", document["postgresql"], file=sys.stderr)
    write_result(args.out, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
