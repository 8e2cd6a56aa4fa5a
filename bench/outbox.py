"""How fast alerts are committed, and how fast a backlog reaches the history.

``python bench/outbox.py --commit 50000 --drain 100000``. Committed: real alerts of
about 1 kB, put by one thread into an empty outbox, until the last one is on disk.
Drained: queued alerts, from the start of the publisher until the dashboard has
acknowledged all of them, through mosquitto. The three programs share the cores of one
machine. Result: ``bench/results/outbox.json``.
"""

import argparse
import sqlite3
import sys
import tempfile
import time
from collections import deque
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring.alerts import TOPICS, make_alert
from measuring.machine import RESULTS, configuration, describe_machine, write_result

from demo.broker import free_port, start_broker
from demo.children import ChildCommand, Children, StopRequest
from demo.history import HistoryClient
from edge.config.station import BrokerSettings, CollectorAck
from edge.delivery.outbox.events import render
from edge.delivery.outbox.outbox import EventKind, Outbox
from edge.delivery.publisher import Publisher
from models.messages import DaemonState, StationStatus

if TYPE_CHECKING:
    from concurrent.futures import Future

MAX_BYTES = 1 << 30
PENDING_MAX = 2000  # events that wait for their commit: memory is bounded
START_LIMIT_S = 60.0
DRAIN_LIMIT_S = 600.0
LOOK_S = 0.02


def commit(outbox: Outbox, count: int) -> float:
    """Put alerts and return the seconds until the last one is committed."""
    topic = TOPICS.camera("top", "alert")
    alerts = [make_alert(number, datetime.now(UTC)) for number in range(1000)]
    pending: deque[Future[int]] = deque()
    started_s = time.perf_counter()
    for number in range(count):
        pending.append(outbox.put(EventKind.ALERT, topic, alerts[number % 1000]))
        if len(pending) == PENDING_MAX:
            pending.popleft().result(START_LIMIT_S)
    while pending:
        pending.popleft().result(START_LIMIT_S)
    return time.perf_counter() - started_s


def measure_commit(folder: Path, count: int) -> dict[str, Any]:
    """Return how fast alerts are committed."""
    outbox = Outbox(folder / "outbox.sqlite3", TOPICS, MAX_BYTES)
    outbox.start()
    try:
        seconds = commit(outbox, count)
        (first,) = outbox.read(0, 1, was_sent=False) or ()
        sent = render(first, outbox.stream, replayed=False, with_image=False)
    finally:
        outbox.close()
    return {
        "alerts": count,
        "seconds": round(seconds, 3),
        "alerts_per_s": round(count / seconds),
        "bytes_on_disk_each": len(first.event.data),
        "bytes_on_the_wire_each": len(sent.payload),
    }


def measure_drain(folder: Path, count: int) -> dict[str, Any]:
    """Return how fast a backlog reaches the history of a real dashboard."""
    outbox = Outbox(folder / "outbox.sqlite3", TOPICS, MAX_BYTES)
    outbox.start()
    with ExitStack() as clean_up:
        clean_up.callback(outbox.close)
        commit(outbox, count)
        children = clean_up.enter_context(Children(folder, StopRequest(), print))
        port = _start_line(folder, children)
        settings = BrokerSettings(port=port, collector_ack=CollectorAck.REQUIRED)
        will = StationStatus(state=DaemonState.LOST, boot_id="bench", version="bench")
        publisher = Publisher(settings, outbox, TOPICS, will)
        started_s = time.perf_counter()
        publisher.start()
        while outbox.depth() and time.perf_counter() - started_s < DRAIN_LIMIT_S:
            time.sleep(LOOK_S)
        seconds = time.perf_counter() - started_s
        left = outbox.depth()
        publisher.stop(will, 5)
    return {
        "alerts": count,
        "left": left,
        "seconds": round(seconds, 3),
        "alerts_per_s": round((count - left) / seconds),
        "in_history": _count(folder / "history.sqlite3"),
    }


def _start_line(folder: Path, children: Children) -> int:
    """Start mosquitto and the dashboard, and return the broker's port."""
    port = start_broker(folder, children, lambda _: None, START_LIMIT_S)
    page = free_port()
    config = folder / "dashboard.toml"
    config.write_text(f"[broker]\nport = {port}\n[server]\nport = {page}\n", "utf-8")
    arguments = (
        sys.executable,
        "-m",
        "graftline",
        "dashboard",
        "--config",
        str(config),
    )
    children.start(ChildCommand("dashboard", arguments))
    client = HistoryClient(page)
    children.wait_until(lambda: client.is_ready, "dashboard", START_LIMIT_S)
    return port


def _count(history: Path) -> int:
    with sqlite3.connect(history) as connection:
        row = connection.execute("SELECT count(*) FROM alerts").fetchone()
    connection.close()
    return int(row[0])


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", type=int, default=50_000, metavar="ALERTS")
    parser.add_argument("--drain", type=int, default=100_000, metavar="ALERTS")
    parser.add_argument("--out", type=Path, default=RESULTS / "outbox.json")
    args = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        committed = measure_commit(Path(folder), args.commit)
    print(f"committed {committed['alerts_per_s']} alerts/s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        drained = measure_drain(Path(folder), args.drain)
    print(f"drained {drained['alerts_per_s']} alerts/s, {drained['left']} left")
    document = {
        "machine": machine,
        "config": configuration(args),
        "commit": committed,
        "drain": drained,
    }
    write_result(args.out, document)
    return 0 if drained["in_history"] == args.drain else 1


if __name__ == "__main__":
    sys.exit(main())
