"""The daemon's word on itself: state, ``health.json``, status and statistics.

A thread of its own looks at everything a few times a second: what it writes and sends
never delays a frame. It reads counters that other threads write; each figure is right,
and a set of them is of about the same moment.
"""

import ctypes
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.config.station import HealthSettings
from edge.control.reload import Configuration
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.publisher import Publisher
from edge.delivery.recorder import DecisionRecorder
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.model import ModelWatch
from edge.inspection.pipeline import Pipeline
from edge.monitoring.thermal import ThermalWatch
from edge.rules.lifecycle import DaemonEvent, next_state, state_of
from models.messages import (
    CameraState,
    CameraStats,
    CameraStatus,
    DaemonState,
    StationStatus,
    fit_reason,
)
from models.slot_files import Health, SlotFolder, write_file
from models.topics import StationTopics

logger = logging.getLogger(__name__)

LOOK_INTERVAL_S = 0.2
STATUS_INTERVAL_S = 10.0  # said again, though nothing changed
STOP_LIMIT_S = 2.0
TIMEX_BYTES = 512  # more than struct timex has on any architecture
MADE_S = 1_767_225_600  # 2026: a clock before this program was made is wrong
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """Where the figures come from.

    Attributes:
        boot_id: Of this start.
        version: Of Graftline.
        topics: Of this station.
        slot: Where ``health.json`` goes.
        pipeline: The model in force, the cameras and their counters.
        recorder: Decisions on their way to the disk.
        outbox: Events on their way to the collector.
        watch: The model that flashing wants.
        publisher: Way to the broker.
        configuration: The file, and whether it is in force.
        thermal: Heat of the processor.
    """

    boot_id: str
    version: str
    topics: StationTopics
    slot: SlotFolder
    pipeline: Pipeline
    recorder: DecisionRecorder
    outbox: Outbox
    watch: ModelWatch
    thermal: ThermalWatch
    publisher: Publisher
    configuration: Configuration

    @property
    def lanes(self) -> tuple[CameraChannel, ...]:
        """The cameras and their counters; a reload replaces them."""
        return self.pipeline.lanes

    @property
    def is_settled(self) -> bool:
        """Whether every camera is up, ended or declared lost."""
        return all(lane.camera.is_settled for lane in self.lanes)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong now, for a person."""
        labels = self.pipeline.model.labels
        cameras = [fault for lane in self.lanes for fault in lane.faults(labels)]
        others = [self.pipeline.fault, self.watch.fault, self.recorder.fault]
        others += [self.publisher.alarm, self.configuration.fault, self.thermal.fault]
        return tuple(cameras + [fault for fault in others if fault])

    def station_status(self, state: DaemonState) -> StationStatus:
        """Return what is published as the station's state.

        Args:
            state: The state.
        """
        return StationStatus(
            state=state,
            reason=fit_reason(*self.faults) if state is DaemonState.DEGRADED else "",
            boot_id=self.boot_id,
            version=self.version,
            model=self.pipeline.model.in_force,
            stream=self.outbox.stream,
            outbox_depth=self.outbox.depth(),
            at=datetime.now(UTC),
        )


class StatusReporter:
    """Looks, and tells whoever wants to know.

    Args:
        settings: How often.
        vitals: Where the figures come from.
        publisher: Way to the broker.
        tell: Takes a line for the person at the terminal.

    Attributes:
        state: State of the daemon.
    """

    def __init__(
        self,
        settings: HealthSettings,
        vitals: DaemonStatus,
        publisher: Publisher,
        tell: Callable[[str], None],
    ) -> None:
        self.state = DaemonState.INIT
        self._settings, self._vitals = settings, vitals
        self._publisher, self._tell = publisher, tell
        self._faults: tuple[str, ...] = ()
        self._said: object = None
        self._said_s = 0.0
        self._is_unwritable = False
        self._said_of: dict[str, object] = {}
        self._inspected_before: dict[str, int] = {}
        self._figures_ns = time.monotonic_ns()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Start to look; the state is ``init``."""
        self._say_station()
        self._thread.start()

    def stop(self) -> StationStatus:
        """Stop, and return the last word: ``disconnected``."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)
        self._look()  # a camera may have ended since the last look
        self.state = next_state(self.state, DaemonEvent.STOPPED)
        self._write_figures()
        return self._vitals.station_status(self.state)

    def _run(self) -> None:
        """Look again and again, and tell when it is time."""
        figures_s = progress_s = 0.0
        while not self._stop.wait(LOOK_INTERVAL_S):
            try:
                self._look()
                now_s = time.monotonic()
                if now_s - figures_s >= self._settings.interval_s:
                    figures_s = now_s
                    self._write_figures()
                if now_s - progress_s >= self._settings.progress_interval_s:
                    progress_s = now_s
                    self._tell(self.progress_line())
            # The top of the thread: without health the frames still go on.
            except Exception:
                logger.exception("health_failed")

    def _look(self) -> None:
        """Announce what changed."""
        vitals = self._vitals
        vitals.thermal.look(time.monotonic_ns())
        vitals.pipeline.sheds_frames = vitals.thermal.sheds_frames
        before, faults = self.state, vitals.faults
        self._faults = faults
        self.state = state_of(before, is_settled=vitals.is_settled, faults=faults)
        if self.state is not before:
            why = f" reason={', '.join(faults)!r}" if faults else ""
            logger.info("state_changed from=%s to=%s%s", before, self.state, why)
        word = (self.state, faults, vitals.pipeline.model.in_force)
        is_old = time.monotonic() - self._said_s > STATUS_INTERVAL_S
        if word != self._said or is_old:
            self._said, self._said_s = word, time.monotonic()
            self._say_station()
        for lane in vitals.lanes:
            word_of = lane.state, lane.streak.reason, lane.camera.conditions
            if self._said_of.get(lane.camera.name) != word_of:
                self._said_of[lane.camera.name] = word_of
                self._say_camera(lane)
        for name in self._said_of.keys() - {lane.camera.name for lane in vitals.lanes}:
            self._say_gone(name)

    def _say_station(self) -> None:
        """Publish the state of the station."""
        status = self._vitals.station_status(self.state)
        self._publisher.publish_state(self._vitals.topics.status, status)

    def _say_camera(self, lane: CameraChannel) -> None:
        """Publish the state of a camera."""
        name = lane.camera.name
        status = CameraStatus(
            state=lane.state,
            reason=fit_reason(lane.reason),
            conditions=lane.camera.conditions,
            fps=round(lane.counters.fps, 3),
            since=datetime.fromtimestamp(lane.since_wall_ns / 1e9, UTC),
        )
        topic = self._vitals.topics.camera(name, "status")
        self._publisher.publish_state(topic, status)

    def _say_gone(self, name: str) -> None:
        """Publish that a camera was taken out of the configuration."""
        del self._said_of[name]
        status = CameraStatus(
            state=CameraState.ENDED,
            reason="it is no longer in the configuration",
            since=datetime.now(UTC),
        )
        topic = self._vitals.topics.camera(name, "status")
        self._publisher.publish_state(topic, status)

    def _write_figures(self) -> None:
        """Publish statistics and write ``health.json``."""
        vitals = self._vitals
        vitals.recorder.clock_synchronized = is_clock_synchronized()
        now_ns = time.monotonic_ns()
        elapsed_s, self._figures_ns = (now_ns - self._figures_ns) / 1e9, now_ns
        every = [self._camera_stats(lane, elapsed_s) for lane in vitals.lanes]
        health = Health(
            at=datetime.now(UTC),
            boot_id=vitals.boot_id,
            state=self.state.value,
            reason=fit_reason(*self._faults),  # of the look that chose the state
            package_sha256=vitals.pipeline.model.in_force.sha256,
            fps=round(sum(stats.fps for stats in every), 3),
            latency_ms_p50=max(stats.latency_ms_p50 for stats in every),
            latency_ms_p99=max(stats.latency_ms_p99 for stats in every),
            frames_inspected=sum(stats.frames_inspected for stats in every),
            alerts=sum(stats.alerts for stats in every),
        )
        self._write(health)

    def _write(self, health: Health) -> None:
        """Write ``health.json``; a disk that takes nothing is told once."""
        path = self._vitals.slot.health
        try:
            write_file(path, health)
        except OSError as exc:
            if not self._is_unwritable:
                logger.warning("health_not_written path=%s reason=%s", path, exc)
            self._is_unwritable = True
        else:
            self._is_unwritable = False

    def _camera_stats(self, lane: CameraChannel, elapsed_s: float) -> CameraStats:
        """Publish the statistics of one camera and return them."""
        name, counters = lane.camera.name, lane.counters
        before = self._inspected_before.get(name, 0)
        self._inspected_before[name] = counters.inspected
        of_late = counters.reset_recent_latency()
        stats = CameraStats(
            at=datetime.now(UTC),
            frames_captured=lane.camera.frames_captured,
            frames_inspected=counters.inspected,
            frames_dropped=lane.frames_dropped,
            frames_unreadable=counters.unreadable,
            frames_damaged=lane.camera.frames_damaged,
            alerts=counters.alerts,
            alerts_suppressed=counters.suppressed,
            fps=round(max(0, counters.inspected - before) / max(elapsed_s, 1e-3), 3),
            latency_ms_p50=round(of_late.percentile_ms(0.5), 3),
            latency_ms_p99=round(of_late.percentile_ms(0.99), 3),
        )
        self._publisher.publish_stats(self._vitals.topics.camera(name, "stats"), stats)
        return stats

    def progress_line(self) -> str:
        """Return how it goes, on one line."""
        vitals = self._vitals
        cameras = "; ".join(
            f"{lane.camera.name} {lane.state.value}: "
            f"{lane.counters.inspected} frames ({lane.counters.fps:.1f}/s), "
            f"{lane.frames_dropped} dropped, {lane.counters.alerts} alerts, "
            f"p99 {lane.counters.latency.percentile_ms(0.99):.0f} ms"
            for lane in vitals.lanes
        )
        broker = "connected" if self._publisher.connected else "not connected"
        broker += f" ({problem})" if (problem := self._publisher.problem) else ""
        depth = vitals.outbox.depth()
        return f"{self.state.value} | {cameras} | outbox {depth} | broker {broker}"


def is_clock_synchronized() -> bool:
    """Return whether the kernel's clock is disciplined (NTP, PTP or GPS).

    A clock with an empty battery says 1970, whatever the kernel believes of it.

    Source:
        adjtimex(2): called without modes it changes nothing and returns
        ``TIME_ERROR`` while the clock is not synchronized.
    """
    timex = ctypes.create_string_buffer(TIMEX_BYTES)
    state: int = ctypes.CDLL(None).adjtimex(timex)
    return 0 <= state < TIME_ERROR and time.time() >= MADE_S
