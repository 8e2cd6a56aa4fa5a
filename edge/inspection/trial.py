"""A package in trial: two models on the frames of one line.

While the old model decides, the new one is its shadow, and the other way round (see
``models.trial_report``). The new model is tried by its output: an output that is not
finite, or a fault, puts the old one back at once, and the old one decides the very
frame that the new one failed on.

``Trial`` is used by the thread of the pipeline; the shadow's thread adds its results.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge.counters import LatencyHistogram
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.in_flight import InFlightFrame
from edge.inspection.model import LoadedModel
from edge.inspection.model_watch import TrialCandidate
from edge.inspection.shadow import Shadow, ShadowJob, ShadowPace, ShadowResult
from edge.rules.regions import RegionMap
from models.detections import Detections
from models.detector import detect
from models.errors import PackageError
from models.machine import resident_bytes
from models.trial_report import ModelCounts, TrialPhase, TrialReport

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _LineCounts:
    """Sums over all cameras at one moment."""

    dropped: int
    alerts: int
    at_ns: int


@dataclass(slots=True)
class _Counts:
    """What is counted of one of the two models."""

    frames: int = 0
    with_defects: int = 0
    episodes: int = 0
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    # while it was the shadow
    shadow_latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    # cameras on whose last compared frame it found a defect
    showing: set[str] = field(default_factory=set)
    # at the first and last moment in which it decided; None = not yet
    start: _LineCounts | None = None
    end: _LineCounts | None = None

    def add_compared(self, camera: str, *, has_defects: bool) -> None:
        """Count a frame that both models saw."""
        self.with_defects += has_defects
        if has_defects and camera not in self.showing:
            self.episodes += 1
        self.showing.discard(camera)
        if has_defects:
            self.showing.add(camera)

    def report(self, now: _LineCounts) -> ModelCounts:
        """Return the counts; those of a reload's removed cameras are left out."""
        start, end = self.start or now, self.end or now
        return ModelCounts(
            frames_with_detections=self.with_defects,
            episodes=self.episodes,
            frames=self.frames,
            seconds=round(max(0, end.at_ns - start.at_ns) / 1e9, 3),
            frames_dropped=max(0, end.dropped - start.dropped),
            alerts=max(0, end.alerts - start.alerts),
            latency_ms_p50=round(self.latency.percentile_ms(0.5), 3),
            latency_ms_p99=round(self.latency.percentile_ms(0.99), 3),
            latency_frames=len(self.latency),
            shadow_latency_ms_p50=round(self.shadow_latency.percentile_ms(0.5), 3),
            shadow_latency_frames=len(self.shadow_latency),
        )


class Trial:
    """One trial.

    Args:
        base: The model in force.
        new: The model in trial.
        channels: Returns the cameras in force.

    Attributes:
        fault: Why the old model is back; empty = the trial goes on.
    """

    def __init__(
        self,
        candidate: TrialCandidate,
        base: LoadedModel,
        new: LoadedModel,
        channels: Callable[[], Sequence[CameraChannel]],
    ) -> None:
        self.order, self.base, self.new = candidate.order, base, new
        self.phase, self.fault = TrialPhase.OBSERVE, ""
        self._candidate, self._channels = candidate, channels
        self._started_ns = time.monotonic_ns()
        self._compared = self._not_finite = 0
        self._counts = {False: _Counts(), True: _Counts()}  # by: is it the new model
        self._counts[False].start = self._line_counts()
        self._last_old_ns = self._gap_ns = 0
        self._pace = ShadowPace()
        self._shadow = Shadow(self._add_result, self._add_fault)
        self._shadow.start()

    @property
    def deciding(self) -> LoadedModel:
        """The model that decides now."""
        is_new = self.phase is TrialPhase.DECIDE and not self.fault
        return self.new if is_new else self.base

    @property
    def seconds(self) -> float:
        """Time since this start of the daemon loaded the model."""
        return (time.monotonic_ns() - self._started_ns) / 1e9

    def decide_with_new(self) -> None:
        """Start the second phase; the caller swaps the model."""
        self.phase = TrialPhase.DECIDE
        now = self._line_counts()
        self._counts[False].end = self._counts[True].start = now

    def fail(self, reason: str) -> None:
        """End the trial; the caller puts the old model back."""
        if self.fault:
            return
        self.fault = reason
        self._counts[True].end = self._line_counts()
        logger.error("trial_failed reason=%r", reason)

    def end(self) -> None:
        """Let the shadow end, without waiting."""
        self._shadow.stop()

    def close(self) -> None:
        """Wait until the shadow has ended."""
        self._shadow.close()

    def add_decided(
        self, in_flight: InFlightFrame, detections: Detections, regions: RegionMap
    ) -> None:
        """Count a decided frame, and let the other model see it if there is time.

        Args:
            in_flight: With its pixels.
            detections: What the deciding model found, before the regions.
        """
        is_new = in_flight.model is self.new
        if self.fault or (in_flight.model is not self.base and not is_new):
            return
        counts, now_ns = self._counts[is_new], time.monotonic_ns()
        counts.frames += 1
        if not self._shadow.worked_since(in_flight.started_ns):
            counts.latency.record(in_flight.completed_ns - in_flight.started_ns)
        if not is_new:
            self._last_old_ns = now_ns
        elif not self._gap_ns and self._last_old_ns:
            self._gap_ns = now_ns - self._last_old_ns
        pixels = in_flight.frame.pixels
        is_due = self._pace.is_due(self._dropped())
        if pixels is None or not is_due or not self._shadow.is_free(now_ns):
            return
        self._pace.take()
        height_px, width_px = pixels.shape[:2]
        channel = in_flight.channel
        self._shadow.submit(
            ShadowJob(
                camera=channel.camera.name,
                pixels=self._shadow.copy_of(pixels),
                model=self.base if is_new else self.new,
                regions=channel.regions,
                has_defects=len(regions.filter(detections, width_px, height_px)) > 0,
            )
        )

    def rescue(
        self, in_flight: InFlightFrame, error: PackageError
    ) -> LoadedModel | None:
        """Return the old model where the new one failed on a frame.

        The trial is over then.

        Args:
            error: Why the new model gave no detections.
        """
        if in_flight.model is not self.new:
            return None
        self._not_finite += in_flight.output is not None
        self.fail(f"it failed on a frame of the line: {error.what} {error.why}".strip())
        return self.base

    def report(self) -> TrialReport:
        """Return the counts for ``health.json``; called by the thread of the status."""
        now = self._line_counts()
        return TrialReport(
            id=self.order.id,
            package_sha256=self.order.package_sha256,
            phase=self.phase,
            starts=self._candidate.starts,
            seconds=round(self.seconds, 3),
            compared=self._compared,
            not_finite=self._not_finite,
            new=self._counts[True].report(now),
            old=self._counts[False].report(now),
            swap_gap_ms=round(self._gap_ns / 1e6, 3),
            rss_bytes=resident_bytes(),
            rss_bytes_before=self._candidate.rss_bytes_before,
            fault=self.fault,
        )

    def _add_result(self, job: ShadowJob, result: ShadowResult) -> None:
        is_new = job.model is self.new
        shadow, deciding = self._counts[is_new], self._counts[not is_new]
        shadow.shadow_latency.record(result.latency_ns)
        shadow.add_compared(job.camera, has_defects=result.finds_defects)
        deciding.add_compared(job.camera, has_defects=job.has_defects)
        self._compared += 1

    def _add_fault(self, model: LoadedModel, error: Exception) -> None:
        if model is not self.new:
            return  # its own fault is published where it decides
        text = str(error) or type(error).__name__
        if isinstance(error, PackageError):
            text = f"{error.what} {error.why}"
            self._not_finite += "not finite" in error.what
        self.fail(f"it failed on a frame of the line: {text}".strip())

    def _dropped(self) -> int:
        return sum(channel.frames_dropped for channel in self._channels())

    def _line_counts(self) -> _LineCounts:
        alerts = sum(channel.counters.alerts for channel in self._channels())
        return _LineCounts(self._dropped(), alerts, time.monotonic_ns())


def detect_again(
    in_flight: InFlightFrame, model: LoadedModel, regions: RegionMap
) -> Detections:
    """Return the detections of another model on a frame, with ``boxes_frame``.

    Args:
        in_flight: With its pixels.
        regions: Those of the camera, for that model.

    Raises:
        PackageError: This model fails too.
    """
    pixels = in_flight.frame.pixels
    if pixels is None:
        raise PackageError("A frame without pixels cannot be inspected.")
    return detect(
        model.detector,
        pixels,
        regions.lowest_thresholds,
        iou_threshold=model.iou_threshold,
    )
