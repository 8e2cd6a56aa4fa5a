"""How long every address of the dashboard needs to its first byte, and to its last."""

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from dashboard.plant_time import SPAN_WORDS
from dashboard.postgresql_login import PostgresqlLogin
from measuring.dashboard_history import MS, event_id, summary
from measuring.dashboard_server import dashboard_of
from measuring.processes import processor_ms
from tests.simulators.dashboard_process import DashboardProcess

REPEATS = 3
READ_MAX_BYTES = 1 << 20  # of a download: the rest is not waited for
LIMIT_S = 120.0
WIDE_SPANS = ("90d", "365d")
# They wait for a station or for live events, or write zip files.
LEFT_OUT = ("/api/events", "/full-picture", "/pictures/{camera}", "/logout")
FILTERS = (
    {"line": "line-2"},
    {"class": "dent"},
    {"line": "line-1", "class": "scratch"},
    {"verdict": "false-alarm"},
    {"part": "no-such-part"},
    {"build": "1763900000"},
)


@dataclass
class Reader:
    """One connection that asks for pages, as a browser keeps it."""

    dashboard: DashboardProcess
    _connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self._connect()

    def _connect(self) -> None:
        host = urlsplit(self.dashboard.url).netloc
        self._connection = http.client.HTTPConnection(host, timeout=LIMIT_S)

    def ask(self, address: str) -> tuple[float, float, int]:
        """Return milliseconds to the first and to the last byte, and the bytes."""
        headers = {
            "authorization": f"Bearer {self.dashboard.token}",
            "accept": "text/html,*/*",
        }
        started_s = time.perf_counter()
        self._connection.request("GET", address, headers=headers)
        answer = self._connection.getresponse()
        size = len(answer.read(1))
        first_ms = (time.perf_counter() - started_s) * MS
        size += len(answer.read(READ_MAX_BYTES))
        last_ms = (time.perf_counter() - started_s) * MS
        if answer.status not in {200, 303, 304, 404}:
            raise RuntimeError(f"{address}: {answer.status}")
        if not answer.isclosed():  # a long download
            self._connection.close()
            self._connect()
        return first_ms, last_ms, size


def measure_pages(
    folder: Path, history: Path | PostgresqlLogin, alerts: int
) -> dict[str, Any]:
    """Return the times of every address.

    Args:
        alerts: Number of alerts in the history.
    """
    found: dict[str, Any] = {}
    with dashboard_of(folder, history) as dashboard:
        reader = Reader(dashboard)
        for address in addresses(dashboard, alerts):
            before_ms = processor_ms(dashboard.pid)
            times = [reader.ask(address) for _ in range(REPEATS)]
            spent_ms = processor_ms(dashboard.pid) - before_ms
            first, last, sizes = zip(*times, strict=True)
            found[address] = {
                "first_byte": summary(first),
                "whole": summary(last),
                "processor_ms": round(spent_ms / REPEATS, 1),
                "bytes": max(sizes),
            }
    worst = max(found, key=lambda each: found[each]["first_byte"]["median_ms"])
    return {
        "slowest": worst,
        "slowest_first_byte": found[worst]["first_byte"],
        "addresses": found,
    }


def addresses(dashboard: DashboardProcess, alerts: int) -> Iterator[str]:
    """Yield every address that can be asked for, pages with all spans and filters."""
    described = dashboard.get("/api/openapi.json")["paths"]
    names = {
        "event_id": quote(event_id(alerts // 2), safe=""),
        "site": "plant",
        "line": "line-1",
        "station": "press-0",
        "k": "1",
    }
    for path, methods in described.items():
        if "get" in methods and not path.endswith(LEFT_OUT):
            yield path.format(**names)
    for page in ("/analysis", "/alerts", "/api/alert-count"):
        for span in (*SPAN_WORDS, *WIDE_SPANS):
            yield f"{page}?span={span}"
        for chosen in FILTERS:
            for span in ("7d", "30d"):
                yield f"{page}?{urlencode({**chosen, 'span': span})}"
    for line in ("line-1", "line-2"):
        yield f"/wall?line={line}"
        yield f"/analysis/report?line={line}"
    yield "/api/pareto?minutes=480"
    yield "/api/rate?minutes=10080"
    yield f"/api/alerts?before={alerts // 2}&limit=500"


def listed(result: dict[str, Any]) -> str:
    """Return the slowest addresses as lines."""
    pages = result["addresses"]
    order = sorted(pages, key=lambda each: -pages[each]["first_byte"]["median_ms"])
    return "\n".join(f"{each} {json.dumps(pages[each])}" for each in order[:12])
