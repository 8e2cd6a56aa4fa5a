"""Figures of the dashboard for Prometheus, read when they are scraped.

Labels are names of cameras that are kept in the history, and closed choices; of
cameras, the first ``CAMERAS_MAX`` have figures of their own. The registry is created
for each scrape; no global one is touched.

Source:
    https://prometheus.io/docs/practices/naming/
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from dashboard.history.alarms import open_alarms
from dashboard.history.figures import delays_ms, newest_alert, size_bytes
from dashboard.history.queries import Json
from dashboard.messages import RejectionReason
from dashboard.status import CollectorStatus, now_ms
from dashboard.web.site import Site
from models.messages import CameraState, DaemonState, VerdictKind

CAMERAS_MAX = 500
DELAY_SPAN_MS = 15 * 60_000
DELAY_ALERTS = 1000
QUANTILES = (0.5, 0.9, 0.99)
PLACE = ("site", "line", "station", "camera")
UNKNOWN = "unknown"
CAMERAS_OF_GONE = {
    DaemonState.LOST.value: CameraState.LOST.value,
    DaemonState.DISCONNECTED.value: UNKNOWN,  # it was stopped
}


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What is read from the history in one scrape."""

    stations: list[Json]
    alarms: int
    newest: int
    delays: list[int]
    missing: int
    size_bytes: int | None


class DashboardFigures(Collector):
    """Collects the figures of one dashboard."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def render(self) -> bytes:
        """Return all figures in the text format of Prometheus.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The history cannot be read now.
        """
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(self)
        return bytes(generate_latest(registry))

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry then does not collect when it is made."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield every figure with its current value."""
        found = self._read()
        yield from _of_collector(self._site.broadcaster.collector_status())
        yield from _of_history(found)
        yield from _of_lines(found.stations)
        yield from _of_cameras(found.stations)
        hub = self._site.hub
        yield _gauge("viewers", "Open pages with live events.", hub.viewers)
        yield _counter("viewers_dropped", "Pages that did not read.", hub.dropped)

    def _read(self) -> _Snapshot:
        at_ms, site = now_ms(), self._site
        with site.database.read() as connection:
            alarms = len(open_alarms(connection))
            newest = newest_alert(connection)
            delays = delays_ms(connection, at_ms - DELAY_SPAN_MS, DELAY_ALERTS)
        size: int | None = None
        with suppress(OSError, SQLAlchemyError):  # the size alone may be unknown
            size = size_bytes(site.database)
        stations = site.history.stations(at_ms)
        missing = site.history.missing()
        return _Snapshot(stations, alarms, newest, delays, missing, size)


def _of_collector(status: CollectorStatus) -> Iterator[Metric]:
    yield _gauge("broker_up", "1 = connected and subscribed.", status.broker.is_up)
    yield _counter("broker_connections", "Accepted logins.", status.connections)
    is_writable = not status.failure
    yield _gauge("history_writable", "1 = messages are stored.", is_writable)
    yield _gauge(
        "writer_age_seconds", "Since the writer last ran.", status.writer_age_s
    )
    yield _gauge("writer_queue", "Messages that wait to be stored.", status.queued)
    yield _counter("duplicates", "Events received again.", status.duplicates)
    yield _counter("dropped", "Messages dropped: full queue.", status.dropped)
    rejected = CounterMetricFamily(
        "dashboard_rejected", "Invalid messages, by reason.", labels=["reason"]
    )
    for reason in RejectionReason:
        rejected.add_metric([reason.value], status.rejected.get(reason.value, 0))
    yield rejected
    yield from _of_notifications(status)


def _of_notifications(status: CollectorStatus) -> Iterator[Metric]:
    failing = _labelled("notify_failing", "1 = it accepts nothing.", ["receiver"])
    waiting = _labelled("notify_waiting", "Not sent yet.", ["receiver"])
    ended = CounterMetricFamily(
        "dashboard_notifications",
        "Notifications, by how they ended.",
        labels=["receiver", "outcome"],
    )
    for each in status.notify:
        failing.add_metric([each.name], float(bool(each.error)))
        waiting.add_metric([each.name], each.waiting)
        ended.add_metric([each.name, "sent"], each.sent)
        ended.add_metric([each.name, "given-up"], each.given_up)
        ended.add_metric([each.name, "dropped"], each.dropped)
    yield from (failing, waiting, ended)


def _of_history(found: _Snapshot) -> Iterator[Metric]:
    yield _counter("alerts", "Alerts ever received.", found.newest)
    yield _gauge("alarms_open", "Open alarms.", found.alarms)
    yield _gauge("missing_events", "Events missing between others.", found.missing)
    if found.size_bytes is not None:
        yield _gauge("history_bytes", "Size of the history.", found.size_bytes)
    delay = _labelled(
        "delivery_delay_seconds",
        "From the defect to the history: of up to 1000 alerts of the last 15 minutes.",
        ["quantile"],
    )
    for share in QUANTILES if found.delays else ():
        place = min(int(share * len(found.delays)), len(found.delays) - 1)
        delay.add_metric([str(share)], found.delays[place] / 1000)
    yield delay


def _of_lines(stations: list[Json]) -> Iterator[Metric]:
    of_daemon, of_camera = [*DaemonState], [*CameraState]
    stations_in, cameras_in = Counter[str](), Counter[str]()
    for station in stations:
        state = _state(station, of_daemon)
        stations_in[state] += 1
        # A line PC without power says nothing of its cameras: the broker says that it
        # is gone, and what its cameras said last no longer holds.
        gone = CAMERAS_OF_GONE.get(state)
        for camera in station["cameras"]:
            cameras_in[gone or _state(camera, of_camera)] += 1
    for name, counts, states in (
        ("stations", stations_in, of_daemon),
        ("cameras", cameras_in, of_camera),
    ):
        family = _labelled(name, f"Number of {name}, by their last state.", ["state"])
        for each in (*states, UNKNOWN):
            family.add_metric([str(each)], counts[str(each)])
        yield family
    heard_ms = [
        each["heard_ms"]
        for each in stations
        if each["heard_ms"] and _state(each, of_daemon) != DaemonState.DISCONNECTED
    ]
    quiet_s = max(0.0, (now_ms() - min(heard_ms, default=now_ms())) / 1000)
    text = "Longest time since a station that was not stopped was heard."
    yield _gauge("station_silent_seconds_max", text, quiet_s)


def _of_cameras(stations: list[Json]) -> Iterator[Metric]:
    alerts = _labelled("alerts_last_hour", "Alerts of the last hour.", [*PLACE])
    parts = _labelled(
        "parts_last_hour", "Parts of the last hour, by verdict.", [*PLACE, "verdict"]
    )
    cameras = (camera for station in stations for camera in station["cameras"])
    for camera in islice(cameras, CAMERAS_MAX):
        where = [str(camera[name]) for name in PLACE]
        alerts.add_metric(where, camera["alerts_last_hour"])
        for verdict in VerdictKind:
            count = camera["verdicts_last_hour"].get(verdict.value, 0)
            parts.add_metric([*where, verdict.value], count)
    yield from (alerts, parts)


def _state(sender: Json, states: Sequence[str]) -> str:
    status: dict[str, Any] = sender["status"] or {}
    state = str(status.get("state", UNKNOWN))
    return state if state in states else UNKNOWN


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"dashboard_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"dashboard_{name}", text, value=value)


def _labelled(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"dashboard_{name}", text, labels=labels)
