"""Figures of the daemon in the words of Prometheus, read when somebody asks.

Nothing is counted here: a collector reads the counters that the daemon keeps anyway.
Labels are names of the configuration or closed choices, so that their number is
bounded. It has a registry of its own and touches no global one.
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

LIMITS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper limits of the buckets of both histograms."""

CAMERA_COUNTERS: tuple[tuple[str, str, Callable[[CameraChannel], int]], ...] = (
    ("edge_frames", "Frames captured.", lambda lane: lane.camera.frames_captured),
    (
        "edge_frames_inspected",
        "Frames with a decision.",
        lambda lane: lane.counters.inspected,
    ),
    (
        "edge_frames_dropped",
        "Frames that came and were never decided.",
        lambda lane: lane.frames_dropped,
    ),
    (
        "edge_frames_unreadable",
        "Frames that could not be read.",
        lambda lane: lane.counters.unreadable,
    ),
    ("edge_alerts", "Alerts on disk.", lambda lane: lane.counters.alerts),
    (
        "edge_camera_restarts",
        "Starts of its process after a fault.",
        lambda lane: lane.camera.restarts,
    ),
)


@dataclass(frozen=True, slots=True)
class DaemonMetrics:
    """Where the figures come from.

    Attributes:
        vitals: Cameras, model and outbox.
        publisher: The broker.
        state: Reads the daemon's state.
        stuck: Reads which loops hang.
        outbox_path: The outbox's file, for its size.
    """

    vitals: DaemonStatus
    publisher: Publisher
    state: Callable[[], DaemonState]
    stuck: Callable[[], tuple[str, ...]]
    outbox_path: Path

    def render(self) -> bytes:
        """Return all figures in the text format of Prometheus."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(DaemonCollector(self))
        return bytes(generate_latest(registry))


class DaemonCollector(Collector):
    """Reads the figures of one daemon.

    Args:
        figures: Where they come from.
    """

    def __init__(self, figures: DaemonMetrics) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """Return every figure of this moment."""
        lanes = self._figures.vitals.lanes
        for name, text, read in CAMERA_COUNTERS:
            counter = CounterMetricFamily(name, text, labels=["camera"])
            for lane in lanes:
                counter.add_metric([lane.camera.name], read(lane))
            yield counter
        yield from self._cameras(lanes)
        yield from self._delivery()
        yield from self._daemon()

    def _cameras(self, lanes: tuple[CameraChannel, ...]) -> Iterator[Metric]:
        """Yield what is more than a counter of each camera."""
        states = GaugeMetricFamily(
            "edge_camera_state", "1 = it is so.", labels=["camera", "state"]
        )
        verdicts = CounterMetricFamily(
            "edge_verdicts", "Parts decided.", labels=["camera", "verdict"]
        )
        age = HistogramMetricFamily(
            "edge_frame_age_seconds", "Capture to decision.", labels=["camera"]
        )
        for lane in lanes:
            name, counters = lane.camera.name, lane.counters
            now = lane.camera.state
            for state in CameraState:
                states.add_metric([name, state.value], float(state is now))
            for kind, count in sorted(counters.verdicts.items()):
                verdicts.add_metric([name, kind.value], count)
            buckets = _buckets(counters.latency)
            age.add_metric([name], buckets, counters.latency.sum_s())
        yield from (states, verdicts, age)

    def _delivery(self) -> Iterator[Metric]:
        """Yield what waits, and how the broker is."""
        outbox, publisher = self._figures.vitals.outbox, self._figures.publisher
        yield _gauge("edge_outbox_rows", "Events not delivered.", outbox.depth())
        yield _gauge(
            "edge_outbox_bytes", "Size of its file.", _size(self._figures.outbox_path)
        )
        yield _gauge(
            "edge_outbox_oldest_seconds",
            "Age of the oldest event that waits; 0 = none does.",
            self._oldest_s(),
        )
        yield _gauge("edge_outbox_failing", "1 = disk full.", outbox.is_failing)
        yield _counter("edge_events_refused", "Kept nowhere.", outbox.refused)
        yield _counter("edge_events_delivered", "By the rule.", publisher.delivered)
        yield _gauge("edge_mqtt_connected", "1 = it is.", publisher.connected)
        yield _counter(
            "edge_mqtt_reconnects",
            "Connections after the first.",
            max(0, publisher.connects - 1),
        )

    def _daemon(self) -> Iterator[Metric]:
        """Yield the daemon's state and its model."""
        figures, vitals = self._figures, self._figures.vitals
        states = GaugeMetricFamily("edge_state", "1 = it is so.", labels=["state"])
        for state in DaemonState:
            states.add_metric([state.value], float(state is figures.state()))
        yield states
        throttled = bool(vitals.thermal.fault)
        yield _gauge("edge_cpu_throttled", "1 = the processor is too hot.", throttled)
        yield _gauge("edge_loops_stuck", "Loops that hang.", len(figures.stuck()))
        infer, model = vitals.pipeline.infer_latency, vitals.pipeline.model.in_force
        yield HistogramMetricFamily(
            "edge_infer_seconds",
            "One frame through the model.",
            _buckets(infer),
            infer.sum_s(),
        )
        words = {"name": model.name, "build": str(model.build)}
        words |= {"sha256": model.sha256, "variant": model.variant}
        words["version"] = vitals.version
        yield InfoMetricFamily("edge_model", "The model in force.", value=words)

    def _oldest_s(self) -> float:
        """Return the age of the oldest event, never negative: clocks may jump."""
        outbox = self._figures.vitals.outbox
        found = [
            event
            for was_sent in (False, True)
            for event in outbox.read(0, 1, was_sent=was_sent) or ()
        ]
        if not found:
            return 0.0
        oldest = min(found, key=lambda queued: queued.seq)
        with suppress(ValueError):  # damaged: its time is no time
            at = datetime.fromisoformat(oldest.event.time)
            return max(0.0, (datetime.now(UTC) - at).total_seconds())
        return 0.0


def _buckets(latency: LatencyHistogram) -> list[tuple[str, float]]:
    """Return cumulative buckets in the form of Prometheus."""
    counts = latency.counts_up_to([round(limit * 1e9) for limit in LIMITS_S])
    pairs = [(str(s), float(n)) for s, n in zip(LIMITS_S, counts, strict=True)]
    return [*pairs, ("+Inf", float(len(latency)))]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: int) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


def _size(path: Path) -> int:
    """Return the bytes of the outbox with its log; 0 where it is not there."""
    total = 0
    for end in ("", "-wal"):
        with suppress(OSError):  # put aside at this very moment
            total += path.with_name(path.name + end).stat().st_size
    return total
