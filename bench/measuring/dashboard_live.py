"""From an alert on the broker to the pages: a browser, many clients, many cameras."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from measuring import sse_clients
from measuring.dashboard_browser import browser, logged_in
from measuring.dashboard_server import Meter, SimLine, dashboard_of, percentiles
from measuring.mqtt_line import AlertClock, start_broker
from tests.simulators.dashboard_process import DashboardProcess
from tests.waiting import until

CLIENTS, EVENTS_PER_S = 100, 20
ALERTS_PER_S, STATIONS = 50, 20
PLANT_STATIONS, PLANT_CAMERAS, PLANT_LINES = 100, 10, 10
STATS_EVERY_S = 2.0  # as often as the daemon sends them by default
PLANT_ALERTS_PER_S = 20
SETTLE_S = 2.0
LIMIT_S = 60.0
# Notes when each new row of alerts is drawn, by the browser's clock: time.time() in ms.
WATCH = """
() => {
  window.drawn = [];
  const start = performance.timeOrigin;
  new MutationObserver((changes) => {
    const added = changes.flatMap((each) => [...each.addedNodes]);
    const ns = added.map((each) => Number(each.dataset?.n));
    requestAnimationFrame(() => setTimeout(() => {
      for (const n of ns) window.drawn.push([n, start + performance.now()]);
    }));
  }).observe(document.getElementById("alerts"), { childList: true });
}
"""
HAS_DRAWN = "(newest) => window.drawn.some(([n]) => n >= newest)"
# How long the page takes to answer at all, at each of so many moments.
TURNS = """
(count) => new Promise((resolve) => {
  const found = [];
  let asked = performance.now();
  const turn = () => {
    const now = performance.now();
    found.push(now - asked);
    if (found.length === count) { resolve(found); return; }
    setTimeout(() => { asked = performance.now(); setTimeout(turn, 0); }, 50);
  };
  setTimeout(turn, 0);
})
"""


@contextmanager
def _line(
    folder: Path, stations: int, cameras: int = 1, lines: int = 4
) -> Iterator[tuple[DashboardProcess, SimLine, int]]:
    """Run a broker, a dashboard and announced stations; also yields the port."""
    with (
        start_broker(folder / "broker") as broker,
        dashboard_of(
            folder / "live", folder / "live.sqlite3", broker.port
        ) as dashboard,
        SimLine(broker.port, stations, cameras, lines) as line,
    ):
        dashboard.wait_connected()
        line.announce()
        expected = stations * cameras
        until(lambda: _cameras(dashboard) == expected, "all cameras are known", LIMIT_S)
        yield dashboard, line, broker.port


def _cameras(dashboard: DashboardProcess) -> int:
    stations = dashboard.get("/api/cameras")["stations"]
    return sum(len(each["cameras"]) for each in stations)


def measure_alert(folder: Path, seconds: float) -> dict[str, Any]:
    """Measure from the publishing of an alert until a browser has drawn it."""
    with _line(folder, STATIONS) as (dashboard, line, port), browser() as chromium:
        page = logged_in(chromium, dashboard).new_page()
        page.goto(f"{dashboard.url}/wall")
        until(page.locator(".tile").count, "the wall shows cameras", LIMIT_S)
        page.evaluate(WATCH)
        with AlertClock(port) as clock, Meter(dashboard) as meter:
            line.repeat(line.alert, ALERTS_PER_S)
            time.sleep(seconds)
            line.pause()
            newest = _newest(dashboard)
            until(lambda: page.evaluate(HAS_DRAWN, newest), "all are drawn", LIMIT_S)
        drawn: dict[int, float] = dict(map(tuple, page.evaluate("window.drawn")))
        sent = _sent_ms(dashboard, set(drawn))
    delays = [drawn[n] - at_ms for n, at_ms in sent.items()]
    return {
        "alerts_per_s": ALERTS_PER_S,
        "until_drawn": percentiles(delays),
        "until_a_subscriber_of_the_broker_has_it": clock.summary(),
        "dashboard": meter.figures,
    }


def _newest(dashboard: DashboardProcess) -> int:
    """Return the last alert, when no more come in."""
    found = [-1]

    def is_at_rest() -> bool:
        found.append(int(dashboard.get("/api/alerts?limit=1")["newest"]))
        time.sleep(0.2)
        return found[-1] == found[-2]

    until(is_at_rest, "all alerts are stored", LIMIT_S)
    return found[-1]


def _sent_ms(dashboard: DashboardProcess, wanted: set[int]) -> dict[int, float]:
    """Return when alerts were published, by their cursor; wall clock in ms."""
    offset_ms = time.time() * 1e3 - time.monotonic() * 1e3
    sent: dict[int, float] = {}
    after = min(wanted) - 1
    while after < max(wanted):
        page = dashboard.get(f"/api/alerts?after={after}&limit=500")["alerts"]
        for each in page:
            if each["n"] in wanted:
                sent[each["n"]] = each["decided_ns"] / 1e6 + offset_ms
        after = page[-1]["n"]
    return sent


def measure_streams(folder: Path, seconds: float) -> dict[str, Any]:
    """Measure from the publishing of an alert until each of many clients has it."""
    with _line(folder, STATIONS) as (dashboard, line, port):
        command = [sys.executable, sse_clients.__file__]
        process = subprocess.Popen(
            [*command, dashboard.url, dashboard.token, str(CLIENTS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipe")
        try:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("not all clients are connected")
            with AlertClock(port) as clock, Meter(dashboard) as meter:
                line.repeat(lambda n: line.alert(n, with_picture=False), EVENTS_PER_S)
                time.sleep(seconds)
                line.pause()
            newest = _newest(dashboard)
            time.sleep(SETTLE_S)
            out, _ = process.communicate("end\n", timeout=LIMIT_S)
        finally:
            process.kill()
    found = json.loads(out)
    return {
        "clients": CLIENTS,
        "events_per_s": EVENTS_PER_S,
        "until_received": percentiles(found["delays_ms"]),
        "missed": newest * CLIENTS - len(found["delays_ms"]),
        "closed": found["closed"],
        "until_a_subscriber_of_the_broker_has_it": clock.summary(),
        "dashboard": meter.figures,
    }


def measure_cameras(folder: Path, seconds: float) -> dict[str, Any]:
    """Measure a collector of very many cameras, and the wall that shows them all."""
    count = PLANT_STATIONS * PLANT_CAMERAS
    with (
        _line(folder, PLANT_STATIONS, PLANT_CAMERAS, PLANT_LINES) as (
            dashboard,
            line,
            _,
        ),
        browser() as chromium,
    ):
        line.repeat(line.count, count / STATS_EVERY_S)
        line.repeat(line.alert, PLANT_ALERTS_PER_S)
        time.sleep(SETTLE_S)
        with Meter(dashboard) as alone:
            time.sleep(seconds)
        page = logged_in(chromium, dashboard).new_page()
        with Meter(dashboard) as watched:
            wall = _wall(page, dashboard, count)
            time.sleep(seconds)
        with dashboard.open("/metrics") as answer:
            figures = answer.read().decode()
        size = len(json.dumps(dashboard.get("/api/cameras")))
        one_line = _wall(page, dashboard, count // PLANT_LINES, "?line=line-1")
        line.pause()
    return {
        "cameras": count,
        "statistics_per_s": count / STATS_EVERY_S,
        "alerts_per_s": PLANT_ALERTS_PER_S,
        "dashboard": alone.figures,
        "dashboard_with_a_wall": watched.figures,
        "dropped": _figure(figures, "dashboard_dropped_total"),
        "waiting_to_be_stored": _figure(figures, "dashboard_writer_queue"),
        "state_kb": round(size / 1000),
        "wall_of_all": wall,
        "wall_of_a_line": one_line,
    }


def _figure(figures: str, name: str) -> float:
    """Return a figure without labels, of those for Prometheus."""
    found = re.search(rf"^{name} (\S+)$", figures, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{name} is no figure")
    return float(found[1])


def _wall(
    page: Page, dashboard: DashboardProcess, count: int, query: str = ""
) -> dict[str, Any]:
    """Return when the wall shows all cameras, and how it then answers."""
    started_s = time.perf_counter()
    page.goto(f"{dashboard.url}/wall{query}")
    tiles = page.locator(".tile")
    until(lambda: tiles.count() == count, "the wall shows all cameras", LIMIT_S)
    shown_s = time.perf_counter() - started_s
    page.wait_for_timeout(SETTLE_S * 1e3)
    turns = page.evaluate(TURNS, 100)
    stale = page.locator(".tile[data-state=stale]").count()
    return {
        "shown_s": round(shown_s, 2),
        "answer": percentiles(turns),
        "stale": stale,
    }
