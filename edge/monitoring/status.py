"""The daemon's state: ``health.json``, MQTT status and statistics.

A thread collects the state a few times a second: what it writes and sends never delays
a frame. It reads counters that other threads write; each value is right, and a set of
them is of about the same moment.
"""

import ctypes
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.config.station import HealthSettings
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.publisher import Publisher
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.pipeline import Pipeline
from edge.monitoring.standstill import StandstillMonitor
from edge.monitoring.thermal import ThermalMonitor
from edge.rules.lifecycle import DaemonEvent, next_state, state_of
from models.counted import counted
from models.errors import InstallError
from models.messages import (
    CameraState,
    CameraStats,
    CameraStatus,
    DaemonState,
    StationStatus,
    fit_reason,
)
from models.slot_files import Health, read_or_none, write_file
from models.topics import StationTopics
from models.trial_report import TrialReport

logger = logging.getLogger(__name__)

UPDATE_INTERVAL_S = 0.2
STATUS_INTERVAL_S = 10.0  # published again though nothing changed
STOP_LIMIT_S = 2.0
OWN_READS_MIN = 5  # of health.json, after which no other daemon writes it
TIMEX_BYTES = 512  # more than struct timex has on any architecture
# 2026-01-01: a clock before this program was written is wrong, also if the kernel
# reports it as synchronized: one with an empty battery starts in 1970.
CLOCK_MIN_S = 1_767_225_600
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """The current state of the daemon's parts."""

    boot_id: str  # random, new at each start
    version: str
    topics: StationTopics
    pipeline: Pipeline
    outbox: Outbox
    # reads the fault of each part that is no camera; empty = no fault
    part_faults: Callable[[], Iterable[str]]
    waiting: Callable[[], int]  # events that are not delivered, by the rule in force
    trial: Callable[[], TrialReport | None] = lambda: None
    # which package is in trial, or why the last one was rolled back
    flashing: Callable[[], str] = str
    in_trial: Callable[[], bool] = bool
    temperature_c: Callable[[], float | None] = lambda: None
    # called once a second: retires the cameras that are gone
    check_retired: Callable[[], None] = lambda: None

    @property
    def channels(self) -> tuple[CameraChannel, ...]:
        """The cameras in force; a reload replaces them."""
        return self.pipeline.channels

    @property
    def is_settled(self) -> bool:
        """Whether every camera is up, ended or declared lost."""
        return all(channel.camera.is_settled for channel in self.channels)

    @property
    def faults(self) -> tuple[str, ...]:
        """The current faults, as phrases for a person."""
        model = self.pipeline.model
        cameras = [fault for each in self.channels for fault in each.faults(model)]
        return tuple(cameras + [fault for fault in self.part_faults() if fault])

    def station_status(self, state: DaemonState) -> StationStatus:
        """Return the message that publishes a state of the station."""
        return StationStatus(
            state=state,
            reason=fit_reason(*self.faults) if state is DaemonState.DEGRADED else "",
            boot_id=self.boot_id,
            version=self.version,
            model=self.pipeline.model.in_force,
            stream=self.outbox.stream,
            outbox_depth=self.waiting(),
            at=datetime.now(UTC),
            at_ns=time.monotonic_ns(),
            flashing=self.flashing(),
            in_trial=self.in_trial(),
            clock_synchronized=is_clock_synchronized(),
            temperature_c=self.temperature_c(),
            proof=self.pipeline.model.proof,
        )


class StatusReporter:
    """Publishes the daemon's state and statistics.

    Args:
        thermal: Checked in the thread of the reporter.
        health_file: Where ``health.json`` is written.

    """

    def __init__(
        self,
        settings: HealthSettings,
        status: DaemonStatus,
        publisher: Publisher,
        *,
        thermal: ThermalMonitor,
        health_file: Path,
        show_progress: Callable[[str], None],
    ) -> None:
        self.state = DaemonState.INIT
        self._settings, self._status, self._publisher = settings, status, publisher
        self._thermal, self._health_file = thermal, health_file
        self._show_progress = show_progress
        self._faults: tuple[str, ...] = ()
        self._published: object = None  # what the last station status depended on
        self._published_s = 0.0
        self._published_of: dict[str, object] = {}  # the same by camera
        self._unwritable = self._other_daemon = ""
        self._has_written, self._own_reads = False, 0
        self._standstill = StandstillMonitor()
        self._inspected_before: dict[str, int] = {}
        self._stats_ns = time.monotonic_ns()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    @property
    def fault(self) -> str:
        """What is wrong with the report, or with the daemon as a whole; empty else."""
        faults = (self._unwritable, self._other_daemon, self._standstill.fault)
        return "; ".join(filter(None, faults))

    def start(self) -> None:
        """Publish the state ``init`` and start the thread."""
        self._publish_station()
        self._thread.start()

    def stop(self) -> StationStatus:
        """Stop the thread; return the last status, ``disconnected``."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)
        self.update()  # a camera may have ended since the last update
        self.state = next_state(self.state, DaemonEvent.STOPPED)
        self.write_stats()
        return self._status.station_status(self.state)

    def _run(self) -> None:
        stats_s = progress_s = 0.0
        while not self._stop.wait(UPDATE_INTERVAL_S):
            try:
                self.update()
                now_s = time.monotonic()
                if now_s - stats_s >= self._settings.interval_s:
                    stats_s = now_s
                    self.write_stats()
                if now_s - progress_s >= self._settings.progress_interval_s:
                    progress_s = now_s
                    self._show_progress(self.progress_line())
            # The top of the thread: frames are inspected without a status too.
            except Exception:
                logger.exception("health_failed")

    def update(self) -> None:
        """Determine the state; publish what changed."""
        status = self._status
        self._thermal.check(time.monotonic_ns())
        boottime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._standstill.check(boottime_s, datetime.now(UTC))
        before, faults = self.state, status.faults
        self._faults = faults
        self.state = state_of(before, is_settled=status.is_settled, faults=faults)
        if self.state is not before:
            why = f" reason={', '.join(faults)!r}" if faults else ""
            logger.info("state_changed from=%s to=%s%s", before, self.state, why)
        model = status.pipeline.model.in_force
        content = (self.state, faults, model, status.flashing())
        is_old = time.monotonic() - self._published_s > STATUS_INTERVAL_S
        if content != self._published or is_old:
            self._published, self._published_s = content, time.monotonic()
            self._publish_station()
        for channel in status.channels:
            name, alarm = channel.camera.name, channel.defect_rate.reason
            camera = channel.camera
            content_of = channel.state, alarm, camera.reason, camera.conditions
            if self._published_of.get(name) != content_of:
                self._published_of[name] = content_of
                self._publish_camera(channel)
        names = {channel.camera.name for channel in status.channels}
        for name in self._published_of.keys() - names:
            self._publish_removed(name)
        status.check_retired()

    def _publish_station(self) -> None:
        status = self._status.station_status(self.state)
        self._publisher.publish_state(self._status.topics.status, status)

    def _publish_camera(self, channel: CameraChannel) -> None:
        name = channel.camera.name
        status = CameraStatus(
            state=channel.state,
            reason=fit_reason(channel.reason),
            conditions=channel.camera.conditions,
            fps=round(channel.counters.fps, 3),
            since=datetime.fromtimestamp(channel.since_wall_ns / 1e9, UTC),
        )
        topic = self._status.topics.camera(name, "status")
        self._publisher.publish_state(topic, status)

    def _publish_removed(self, name: str) -> None:
        del self._published_of[name]
        status = CameraStatus(
            state=CameraState.ENDED,
            reason="it is no longer in the configuration",
            since=datetime.now(UTC),
        )
        topic = self._status.topics.camera(name, "status")
        self._publisher.publish_state(topic, status)

    def write_stats(self) -> None:
        """Publish statistics of every camera and write ``health.json``."""
        now_ns = time.monotonic_ns()
        elapsed_s, self._stats_ns = (now_ns - self._stats_ns) / 1e9, now_ns
        channels = self._status.channels
        every = [self._publish_stats(channel, elapsed_s) for channel in channels]
        health = Health(
            at=datetime.now(UTC),
            boot_id=self._status.boot_id,
            state=self.state.value,
            reason=fit_reason(*self._faults),  # the faults that the state follows from
            package_sha256=self._status.pipeline.model.in_force.sha256,
            fps=round(sum(stats.fps for stats in every), 3),
            latency_ms_p50=max(stats.latency_ms_p50 for stats in every),
            latency_ms_p99=max(stats.latency_ms_p99 for stats in every),
            frames_inspected=sum(stats.frames_inspected for stats in every),
            alerts=sum(stats.alerts for stats in every),
            interval_s=self._settings.interval_s,
            can_try=True,
            trial=self._status.trial(),
        )
        self._write(health)

    def _write(self, health: Health) -> None:
        """Write ``health.json``; a failing disk is logged once."""
        try:
            self._look_for_another_daemon(health.boot_id)
            write_file(self._health_file, health)
        except (OSError, InstallError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            if not self._unwritable:
                logger.warning(
                    "health_not_written path=%s reason=%s", self._health_file, reason
                )
            self._unwritable = (
                f"{self._health_file} cannot be written ({reason}): `graftline status` "
                "and flashing do not see this daemon. Fix: give the slot folder to the "
                "daemon's user, or make room on the disk"
            )
        else:
            if self._unwritable:
                logger.info("health_written_again path=%s", self._health_file)
            self._unwritable, self._has_written = "", True

    def _look_for_another_daemon(self, boot_id: str) -> None:
        """Note whether another daemon has written since this one did.

        Raises:
            InstallError: A newer version wrote the file.
        """
        if not self._has_written:
            return
        found = read_or_none(self._health_file, Health)
        is_other = found is not None and found.boot_id != boot_id
        self._own_reads = 0 if is_other else self._own_reads + 1
        if is_other and not self._other_daemon:
            logger.error("second_daemon health_file=%s", self._health_file)
            self._other_daemon = (
                f"another daemon uses this slot: it writes {self._health_file} too. "
                "Fix: stop one of them, or give each a slot of its own"
            )
        elif self._own_reads >= OWN_READS_MIN:
            self._other_daemon = ""

    def _publish_stats(self, channel: CameraChannel, elapsed_s: float) -> CameraStats:
        name, counters = channel.camera.name, channel.counters
        before = self._inspected_before.get(name, 0)
        self._inspected_before[name] = counters.inspected
        recent = counters.reset_recent_latency()
        stats = CameraStats(
            at=datetime.now(UTC),
            frames_captured=channel.camera.frames_captured,
            frames_inspected=counters.inspected,
            frames_dropped=channel.frames_dropped,
            frames_unreadable=counters.unreadable,
            frames_damaged=channel.camera.frames_damaged,
            alerts=counters.alerts,
            alerts_suppressed=counters.suppressed,
            # Never negative: a reload may bring fresh counters under an old name.
            fps=round(max(0, counters.inspected - before) / max(elapsed_s, 1e-3), 3),
            latency_ms_p50=round(recent.percentile_ms(0.5), 3),
            latency_ms_p99=round(recent.percentile_ms(0.99), 3),
        )
        self._publisher.publish_stats(self._status.topics.camera(name, "stats"), stats)
        return stats

    def progress_line(self) -> str:
        """Return the state of daemon, cameras, outbox and broker, on one line."""
        cameras = "; ".join(
            f"{each.camera.name} {each.state.value}: "
            f"{counted(each.counters.inspected, 'frame')} ({each.counters.fps:.1f}/s), "
            f"{each.frames_dropped} dropped, {counted(each.counters.alerts, 'alert')}, "
            f"p99 {each.counters.latency.percentile_ms(0.99):.0f} ms"
            for each in self._status.channels
        )
        broker = "connected" if self._publisher.connected else "not connected"
        broker += f" ({problem})" if (problem := self._publisher.problem) else ""
        waiting, kept = self._status.waiting(), self._status.outbox.depth()
        outbox = f"{waiting}" if kept <= waiting else f"{waiting} ({kept} kept)"
        return f"{self.state.value} | {cameras} | outbox {outbox} | broker {broker}"


def is_clock_synchronized() -> bool:
    """Return whether the wall clock can be trusted (NTP, PTP or GPS).

    Source:
        adjtimex(2): called without modes it changes nothing and returns
        ``TIME_ERROR`` while the clock is not synchronized.
    """
    timex = ctypes.create_string_buffer(TIMEX_BYTES)
    state: int = ctypes.CDLL(None).adjtimex(timex)
    return 0 <= state < TIME_ERROR and time.time() >= CLOCK_MIN_S
