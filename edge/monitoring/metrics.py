"""Metrics of the daemon for Prometheus, read when they are scraped.

Nothing is counted here: a collector reads the counters that the daemon keeps anyway.
Labels are names of the configuration or closed choices, so that their number is
bounded. The registry is created for each scrape; no global one is touched.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge.counters import LatencyHistogram
from edge.delivery.publisher import Publisher
from edge.inspection.camera_channel import CameraChannel
from edge.monitoring.status import DaemonStatus
from models.messages import CameraState, DaemonState

# Upper limits of the buckets of both histograms.
BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

CAMERA_COUNTERS: tuple[tuple[str, str, Callable[[CameraChannel], int]], ...] = (
    (
        "edge_frames",
        "Frames captured by the camera since the daemon started.",
        lambda channel: channel.camera.frames_captured,
    ),
    (
        "edge_frames_inspected",
        "Frames that were inspected and decided.",
        lambda channel: channel.counters.inspected,
    ),
    (
        "edge_frames_dropped",
        "Frames that were captured but not inspected.",
        lambda channel: channel.frames_dropped,
    ),
    (
        "edge_frames_unreadable",
        "Frames that could not be read or inspected.",
        lambda channel: channel.counters.unreadable,
    ),
    (
        "edge_alerts",
        "Alerts written to the outbox.",
        lambda channel: channel.counters.alerts,
    ),
    (
        "edge_camera_restarts",
        "Restarts of the camera's process after a fault.",
        lambda channel: channel.camera.restarts,
    ),
)


@dataclass(frozen=True, slots=True)
class DaemonMetrics:
    """The sources of all metrics."""

    status: DaemonStatus
    publisher: Publisher
    state: Callable[[], DaemonState]
    stuck: Callable[[], tuple[str, ...]]  # reads the names of loops that hang
    is_throttled: Callable[[], bool]
    outbox_path: Path

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(DaemonCollector(self))
        return bytes(generate_latest(registry))


class DaemonCollector(Collector):
    """Collects the metrics of one daemon."""

    def __init__(self, metrics: DaemonMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Yield every metric with its current value."""
        channels = self._metrics.status.channels
        for name, text, read in CAMERA_COUNTERS:
            counter = CounterMetricFamily(name, text, labels=["camera"])
            for channel in channels:
                counter.add_metric([channel.camera.name], read(channel))
            yield counter
        yield from self._cameras(channels)
        yield from self._delivery()
        yield from self._daemon()

    def _cameras(self, channels: tuple[CameraChannel, ...]) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            "edge_camera_state",
            "State of the camera: 1 for the current state, 0 for every other.",
            labels=["camera", "state"],
        )
        verdicts = CounterMetricFamily(
            "edge_verdicts", "Verdicts of parts, by kind.", labels=["camera", "verdict"]
        )
        age = HistogramMetricFamily(
            "edge_frame_age_seconds",
            "Time from the capture of a frame to its decision.",
            labels=["camera"],
        )
        for channel in channels:
            name, counters = channel.camera.name, channel.counters
            current = channel.camera.state
            for state in CameraState:
                states.add_metric([name, state.value], float(state is current))
            for kind, count in sorted(counters.verdicts.items()):
                verdicts.add_metric([name, kind.value], count)
            buckets = _buckets(counters.latency)
            age.add_metric([name], buckets, counters.latency.sum_s())
        yield from (states, verdicts, age)

    def _delivery(self) -> Iterator[Metric]:
        outbox, publisher = self._metrics.status.outbox, self._metrics.publisher
        yield _gauge(
            "edge_outbox_rows",
            "Events in the outbox, also those that are kept for a dashboard.",
            outbox.depth(),
        )
        yield _gauge(
            "edge_outbox_bytes",
            "Size of the outbox's file and its write-ahead log.",
            _size_bytes(self._metrics.outbox_path),
        )
        yield _gauge(
            "edge_outbox_oldest_seconds",
            "Age of the oldest event that is not delivered yet; 0 = no such event.",
            self._oldest_s(),
        )
        yield _gauge(
            "edge_outbox_failing",
            "1 while the outbox cannot be written, for example on a full disk; else 0.",
            outbox.is_failing,
        )
        yield _counter(
            "edge_events_refused",
            "Events that were lost: neither disk nor memory could take them.",
            outbox.refused,
        )
        yield _counter(
            "edge_events_delivered",
            "Events delivered, as collector_ack defines delivery.",
            publisher.delivered,
        )
        yield _gauge(
            "edge_mqtt_connected",
            "1 while the daemon is connected to the broker; else 0.",
            publisher.connected,
        )
        yield _counter(
            "edge_acknowledgements_refused",
            "Acknowledgements that could not be read, came too often, or do not state "
            "what was sent.",
            publisher.refused_acknowledgements,
        )
        yield _counter(
            "edge_mqtt_reconnects",
            "Connections to the broker after the first.",
            max(0, publisher.connects - 1),
        )

    def _daemon(self) -> Iterator[Metric]:
        metrics, status = self._metrics, self._metrics.status
        states = GaugeMetricFamily(
            "edge_state",
            "State of the daemon: 1 for the current state, 0 for every other.",
            labels=["state"],
        )
        current = metrics.state()
        for state in DaemonState:
            states.add_metric([state.value], float(state is current))
        yield states
        yield _gauge(
            "edge_cpu_throttled",
            "1 while the processor is too hot or slowed down by heat; else 0.",
            metrics.is_throttled(),
        )
        yield _gauge(
            "edge_loops_stuck",
            "Critical loops without progress, and critical threads that ended.",
            len(metrics.stuck()),
        )
        pipeline = status.pipeline
        infer, model = pipeline.infer_latency, pipeline.model.in_force
        yield HistogramMetricFamily(
            "edge_infer_seconds",
            "Time of one frame in the model, from start to collected output.",
            _buckets(infer),
            infer.sum_s(),
        )
        labels = {
            "name": model.name,
            "build": str(model.build),
            "sha256": model.sha256,
            "variant": model.variant,
            "version": status.version,
        }
        yield InfoMetricFamily(
            "edge_model", "Model in force and version of the daemon.", value=labels
        )

    def _oldest_s(self) -> float:
        """Return the age of the oldest event, never negative: clocks may jump."""
        outbox = self._metrics.status.outbox
        found = [
            event
            for was_sent in (False, True)
            for event in outbox.read(0, 1, was_sent=was_sent) or ()
        ]
        if not found:
            return 0.0
        oldest = min(found, key=lambda queued: queued.seq)
        with suppress(ValueError):  # a damaged event
            at = datetime.fromisoformat(oldest.event.time)
            return max(0.0, (datetime.now(UTC) - at).total_seconds())
        return 0.0


def _buckets(latency: LatencyHistogram) -> list[tuple[str, float]]:
    """Return cumulative buckets in the form of Prometheus."""
    counts = latency.counts_up_to([round(limit * 1e9) for limit in BUCKETS_S])
    pairs = [(str(s), float(n)) for s, n in zip(BUCKETS_S, counts, strict=True)]
    return [*pairs, ("+Inf", float(len(latency)))]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: int) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


def _size_bytes(path: Path) -> int:
    """Return the size of the outbox with its log; 0 where there is no file."""
    total = 0
    for suffix in ("", "-wal"):
        with suppress(OSError):  # moved away at this moment
            total += path.with_name(path.name + suffix).stat().st_size
    return total
