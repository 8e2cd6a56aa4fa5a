"""How fast the dashboard is, how much it carries, and how light its pages are.

``python bench/dashboard.py`` measures everything, in less than ten minutes on two quiet
cores; ``--only NAME`` measures parts, and leaves the others in the result as they are:

* ``store``: alerts stored in a second, each batch one commit on the disk, into an empty
  history and into one with ``--alerts`` alerts in ``--days`` days, and the queries of
  the pages; in SQLite and in PostgreSQL, whose server runs on the same machine with its
  default settings.
* ``pages``: first and last byte of every address over these histories. It is measured
  with ``store`` for PostgreSQL, whose server ends with it.
* ``browser``: what a browser loads for each page, and when a phone shows something.
* ``alert``: from the publishing of an alert until a browser has drawn it.
* ``streams``: the same for a hundred clients of live events.
* ``cameras``: 1,000 cameras on one dashboard, and the wall that shows them.

The SQLite history is kept in ``bench/out/dashboard`` and is made again where it is
missing or has another size. Result: ``bench/results/dashboard.json``.
"""

import argparse
import json
import os
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measuring.dashboard_browser import measure_browser
from measuring.dashboard_history import (
    DENSE,
    MS,
    Extent,
    copy_history,
    fill,
    newest_day,
    store,
    store_next,
    timed,
)
from measuring.dashboard_history import alerts as made_alerts
from measuring.dashboard_live import measure_alert, measure_cameras, measure_streams
from measuring.dashboard_pages import listed, measure_pages
from measuring.dashboard_table import tables
from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)

from dashboard.history.database import Database
from dashboard.history.queries import History
from dashboard.ingest.writer import BATCH_MESSAGES
from tests.simulators.postgresql import PostgresqlServer

PARTS = ("store", "pages", "browser", "alert", "streams", "cameras")
OUT = REPOSITORY / "bench" / "out" / "dashboard"
SHIFT_MINUTES = 480
WEEK_MINUTES = 7 * 24 * 60


class Bench:
    """The measurements of one run.

    Args:
        args: From the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._folder = OUT / f"{args.alerts}-{args.days}"
        self._history = self._folder / "history.sqlite3"
        self._extent_file = self._folder / "extent.json"

    def store(self) -> dict[str, Any]:
        """Measure both kinds of database; pages too where it is PostgreSQL."""
        shutil.rmtree(self._folder, ignore_errors=True)
        found = {"sqlite": self._sqlite()}
        server = PostgresqlServer(is_durable=True)
        server.start()
        try:
            found["postgresql"] = self._postgresql(server)
        finally:
            server.remove()
        ratio = found["postgresql"]["ingest_per_s"] / found["sqlite"]["ingest_per_s"]
        return {**found, "postgresql_to_sqlite": round(ratio, 2)}

    def pages(self) -> dict[str, Any]:
        """Measure every address over the SQLite history."""
        self._require_history()
        found = measure_pages(self._folder / "pages", self._history, self._args.alerts)
        print(listed(found), file=sys.stderr)
        return found

    def browser(self) -> dict[str, Any]:
        """Measure weight and first paint over the SQLite history."""
        self._require_history()
        folder = self._folder / "browser"
        return measure_browser(folder, self._history, self._args.alerts)

    def alert(self) -> dict[str, Any]:
        """Measure from an alert to a browser."""
        return measure_alert(self._fresh("alert"), self._args.seconds)

    def streams(self) -> dict[str, Any]:
        """Measure from an alert to many clients."""
        return measure_streams(self._fresh("streams"), self._args.seconds)

    def cameras(self) -> dict[str, Any]:
        """Measure very many cameras."""
        return measure_cameras(self._fresh("cameras"), self._args.seconds)

    def _fresh(self, name: str) -> Path:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _require_history(self) -> None:
        if not self._extent_file.is_file():
            shutil.rmtree(self._folder, ignore_errors=True)
            self._sqlite()

    def _sqlite(self) -> dict[str, Any]:
        args = self._args
        self._folder.mkdir(parents=True)
        extent = Extent(args.alerts, args.ingest, args.days, newest_day())
        with Database(self._history) as database:
            found = {**fill(database, extent), "queries": _queries(database, extent)}
        self._extent_file.write_text(json.dumps({"end": extent.end.isoformat()}))
        size_bytes = self._history.stat().st_size
        return {**found, "file_mb": round(size_bytes / (1 << 20))}

    def _postgresql(self, server: PostgresqlServer) -> dict[str, Any]:
        args = self._args
        end = json.loads(self._extent_file.read_text())["end"]
        extent = Extent(
            args.alerts, args.ingest, args.days, datetime.fromisoformat(end)
        )
        with Database(server.new_database()) as empty:
            first = made_alerts(1, args.ingest, extent.start, DENSE)
            empty_s = store(empty, first)
        login = server.new_database()
        with Database(self._history) as source, Database(login) as database:
            copy_history(source, database)
            # As its own thread for it does within minutes.
            server.execute_in(login, "VACUUM ANALYZE")
            full_s = store_next(database, extent, args.alerts)
            queries = _queries(database, extent)
        pages = measure_pages(self._folder / "postgresql", login, args.alerts)
        print(listed(pages), file=sys.stderr)
        return {
            "ingest_per_s": round(args.ingest / empty_s),
            "ingest_into_full_history_per_s": round(args.ingest / full_s),
            "queries": queries,
            "pages": pages,
        }


def _queries(database: Database, extent: Extent) -> dict[str, Any]:
    """Return how long the queries of the pages take."""
    history, now_ms = History(database), int(extent.end.timestamp() * MS)
    middle = history.newest() // 2
    return {
        "pareto_of_a_shift": timed(lambda: history.pareto(now_ms, SHIFT_MINUTES)),
        "pareto_of_a_week": timed(lambda: history.pareto(now_ms, WEEK_MINUTES)),
        "rate_of_a_shift": timed(lambda: history.rate(now_ms, SHIFT_MINUTES, 60)),
        "state_of_all_cameras": timed(lambda: history.stations(now_ms)),
        "newest_50_alerts": timed(lambda: history.alerts(50)),
        "50_alerts_from_the_middle": timed(lambda: history.alerts(50, before=middle)),
        "totals": timed(lambda: history.totals(now_ms)),
    }


def main() -> int:
    """Measure, and write the result after each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--alerts", type=int, default=1_000_000, help="in all")
    parser.add_argument("--ingest", type=int, default=50_000, help="timed at a time")
    parser.add_argument("--days", type=int, default=30, help="that the alerts cover")
    parser.add_argument("--seconds", type=float, default=15, help="of each live part")
    parser.add_argument("--out", type=Path, default=RESULTS / "dashboard.json")
    parser.add_argument(
        "--table",
        action="store_true",
        help="print the result as sections of docs/benchmarks.md, and end",
    )
    args = parser.parse_args()
    if args.table:
        print(tables(json.loads(args.out.read_text("utf-8"))))
        return 0
    document: dict[str, Any] = {}
    if args.out.is_file() and args.only != list(PARTS):
        document = json.loads(args.out.read_text("utf-8"))
    document["machine"] = describe_machine()
    document["configuration"] = {**configuration(args), "batch": BATCH_MESSAGES}
    bench = Bench(args)
    for name in args.only:
        load, started_s = os.getloadavg()[0], time.perf_counter()
        figures: dict[str, Any] = getattr(bench, name)()
        took_s = time.perf_counter() - started_s
        measured = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "load_before": round(load, 2),
            "took_s": round(took_s, 1),
        }
        document[name] = {"measured": measured, **figures}
        write_result(args.out, document)
        shown = {key: each for key, each in figures.items() if key != "addresses"}
        print(name, measured, json.dumps(shown)[:1500], file=sys.stderr)
    print(tables(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
