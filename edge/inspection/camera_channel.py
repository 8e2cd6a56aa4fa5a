"""One camera on its way through the daemon: source, rules, memory, figures.

What the model saw in a frame goes through the rules in this order::

    found ─▶ regions ─▶ k of n ─▶ cool-down ─▶ told
             masks      tracker    counted
             thresholds (free run) (free run)

Every part of a triggered camera is told in full: neither tracker nor cool-down.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edge.cameras.supervisor import CameraProcess
from edge.counters import CameraCounters
from edge.frame import CameraFrame, Pixels, Stamp
from edge.inspection.model import LoadedModel
from edge.rules.alert_suppression import AlertSuppression
from edge.rules.defect_rate import DefectRateAlarm
from edge.rules.part_counter import CountedPart, PartCounter
from edge.rules.regions import Region, RegionMap, unknown_labels
from edge.rules.track_reset import TrackReset
from edge.rules.tracker import Tracker
from edge.rules.triggers import CommandTriggers, EveryFrame, with_part
from models.boxes import FloatArray
from models.detections import Detections
from models.messages import CameraState, VerdictKind

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What is said of one frame.

    Attributes:
        detections: The defects, with ``boxes_frame``.
        regions: Name of the region of each; empty where none is drawn.
        suppressed: Alerts of the same kind that were held back before each.
        part_id: Name of the part that shows them, where parts are known.
        left: The part that is over with this frame, where parts are counted.
    """

    detections: Detections
    regions: tuple[str, ...]
    suppressed: tuple[int, ...]
    part_id: str | None = None
    left: CountedPart | None = None


@dataclass(slots=True)
class CameraChannel:
    """One camera, its rules, and what is remembered of it from frame to frame.

    Attributes:
        camera: Where frames come from.
        tracker: Which defects were seen before; of no use for parts.
        regions: Where its picture is looked at, in the order of the file.
        cool_down: Which of its alerts are told.
        streak: Whether there are too many defects.
        parts: Counts parts in free run, where that is asked for.
        counters: Its figures.
        continuity: Whether the tracker's memory still holds.
        triggers: Commands that wait for a frame; none where commands make no parts.
        every_frame: Names of parts, where hardware triggers the camera; else none.
        streak_since_ns: Wall clock since 1970, when the streak was raised or ended.
        is_second: The frame last offered to ``sheds`` was skipped.
    """

    camera: CameraProcess
    tracker: Tracker
    regions: tuple[Region, ...] = ()
    cool_down: AlertSuppression = field(default_factory=lambda: AlertSuppression(0))
    streak: DefectRateAlarm = field(default_factory=DefectRateAlarm)
    parts: PartCounter | None = None
    counters: CameraCounters = field(default_factory=CameraCounters)
    continuity: TrackReset = field(default_factory=TrackReset)
    triggers: CommandTriggers | None = None
    every_frame: EveryFrame | None = None
    is_second: bool = False
    streak_since_ns: int = 0
    _map: RegionMap | None = None
    _map_is_for: tuple[tuple[str, ...], bytes] = ((), b"")

    @property
    def makes_parts(self) -> bool:
        """Whether what is inspected is a part, and gets a verdict."""
        has_trigger = self.triggers is not None or self.every_frame is not None
        return has_trigger or self.camera.is_triggered

    def admit(self, frame: CameraFrame) -> tuple[list[CameraFrame], CameraFrame | None]:
        """Return parts that were missed before a frame, and the frame to inspect.

        Args:
            frame: As the camera gave it.

        Returns:
            Parts without pixels, in order; and the frame with the part that it
            shows, none if nobody asked for it.
        """
        if self.triggers is not None:
            missed, part_id = self.triggers.part_of(frame)
            return missed, None if part_id is None else with_part(frame, part_id)
        if self.every_frame is not None:
            missed, part_id = self.every_frame.part_of(frame)
            return missed, with_part(frame, part_id)
        return [], frame

    def overdue(self, now_ns: int) -> list[CameraFrame]:
        """Return parts for which no frame came in time.

        Args:
            now_ns: Monotonic clock, from before the newest frame was looked for.
        """
        if self.triggers is None:
            return []
        camera, fault = self.camera, ""
        if camera.state is not CameraState.UP:
            fault = f"camera {camera.name} {camera.state.value}: {camera.reason}"
        return self.triggers.overdue(now_ns, " ".join(fault.split()))

    def thresholds(self, model: LoadedModel) -> FloatArray:
        """Return what a model's output is to be decoded with here, ``[C]`` float32.

        Args:
            model: The model that looks at the frame.
        """
        return self._regions_for(model).lowest

    def decide(
        self, found: Detections, stamp: Stamp, pixels: Pixels, model: LoadedModel
    ) -> RuleResult:
        """Return what is to be told of a frame; called once for each, in order.

        Args:
            found: What the model saw, with ``boxes_frame``, decoded with
                ``thresholds``.
            stamp: Of the frame.
            pixels: ``[H, W, 3]`` uint8 BGR, the frame.
            model: The model that looked at it.
        """
        height_px, width_px = pixels.shape[:2]
        regions, size_px = self._regions_for(model), (width_px, height_px)
        seen = regions.keep(found, *size_px)
        if self.makes_parts:
            names = tuple(regions.names(seen, *size_px))
            return RuleResult(seen, names, (0,) * len(seen), stamp.part_id)
        fresh = self._confirm(seen, stamp, size_px)
        before = self.streak.reason
        self.streak.defects(len(fresh), stamp.captured_ns)
        self._note_streak(before, stamp.captured_wall_ns)
        told = self._cooled(fresh, regions.names(fresh, *size_px), stamp, model)
        if self.parts is None:
            return told
        left = self.parts.look(pixels, stamp)
        if len(fresh):
            self.parts.found_defect()
        return replace(told, part_id=self.parts.part_id, left=left)

    def count_verdict(self, verdict: VerdictKind, stamp: Stamp) -> None:
        """Count the verdict of a part; called once for each, in order.

        Args:
            verdict: What is said of it.
            stamp: Of its frame.
        """
        self.counters.verdicts[verdict] += 1
        before = self.streak.reason
        self.streak.part(verdict)
        self._note_streak(before, stamp.captured_wall_ns)

    def finish(self) -> CountedPart | None:
        """Return the counted part that is still in view: no more frames come."""
        return self.parts.finish() if self.parts else None

    def faults(self, labels: Sequence[str]) -> list[str]:
        """Return, as phrases, what is wrong with this camera now.

        Args:
            labels: Names of the labels of the model in force.
        """
        camera = self.camera
        is_lost = camera.state is CameraState.LOST
        what = ("lost",) if is_lost else camera.conditions
        told = [f"camera {camera.name} {phrase}" for phrase in what]
        if camera.warning and not is_lost:
            told.append(f"camera {camera.name}: {camera.warning}")
        return told + self.label_faults(labels)

    def label_faults(self, labels: Sequence[str]) -> list[str]:
        """Return, as phrases, what this camera's rules ask of a model in vain.

        Args:
            labels: Names of the model's labels.
        """
        name = self.camera.name
        unknown = unknown_labels(self.regions, labels)
        return [f"camera {name}: {phrase}, unknown to the model" for phrase in unknown]

    def _regions_for(self, model: LoadedModel) -> RegionMap:
        """Return the regions for a model's labels; made anew when another comes."""
        wanted = model.labels, model.score_thresholds.tobytes()
        if self._map is None or self._map_is_for != wanted:
            self._map = RegionMap(self.regions, model.labels, model.score_thresholds)
            self._map_is_for = wanted
        return self._map

    def _confirm(
        self, seen: Detections, stamp: Stamp, size_px: tuple[int, int]
    ) -> Detections:
        """Return the defects that a frame of a free-running camera confirms."""
        if self.continuity.is_broken_by(
            stamp.captured_ns,
            restarts=self.camera.restarts,
            max_missed=self.tracker.max_missed,
            size_px=size_px,
        ):
            self.tracker.forget()
            if self.parts:
                self.parts.lose_sight()
        return self.tracker.update(seen, stamp.frame_id, frame_width_px=size_px[0])

    def _cooled(
        self, fresh: Detections, names: list[str], stamp: Stamp, model: LoadedModel
    ) -> RuleResult:
        """Return the new defects without those that the cool-down holds back."""
        labels = [model.labels[label] for label in fresh.labels.tolist()]
        answers = [
            self.cool_down.admit(name, label, stamp.captured_ns)
            for name, label in zip(names, labels, strict=True)
        ]
        told = [place for place, answer in enumerate(answers) if answer is not None]
        self.counters.suppressed += len(answers) - len(told)
        return RuleResult(
            fresh.take(np.array(told, np.int64)),
            tuple(names[place] for place in told),
            tuple(answer for answer in answers if answer is not None),
        )

    def _note_streak(self, before: str, wall_ns: int) -> None:
        """Log a streak when it is raised and when it ends."""
        reason = self.streak.reason
        if bool(reason) == bool(before):
            return
        self.streak_since_ns = wall_ns
        if reason:
            logger.warning(
                "streak_raised camera=%s reason=%r", self.camera.name, reason
            )
        else:
            logger.info("streak_ended camera=%s", self.camera.name)

    @property
    def state(self) -> CameraState:
        """State of the camera; a streak of defects degrades one that is up."""
        state = self.camera.state
        is_alarmed = state is CameraState.UP and self.streak.reason
        return CameraState.DEGRADED if is_alarmed else state

    @property
    def reason(self) -> str:
        """Why it is in this state; empty where there is nothing to say."""
        causes = (" ".join(self.camera.reason.split()), self.streak.reason)
        return "; ".join(cause for cause in causes if cause)

    @property
    def since_wall_ns(self) -> int:
        """Wall clock, since 1970 UTC, of the last change of state."""
        return max(self.camera.since_wall_ns, self.streak_since_ns)

    def sheds(self) -> bool:
        """Return whether a frame is skipped to save work: every second, no part."""
        if self.makes_parts:
            return False
        self.is_second = not self.is_second
        self.counters.shed += self.is_second
        return self.is_second

    @property
    def frames_dropped(self) -> int:
        """Frames that came and were never decided."""
        counters = self.counters
        return self.camera.frames_dropped + counters.torn + counters.shed

    def summary(self) -> dict[str, object]:
        """Return the figures of this camera, for JSON."""
        counters = self.counters
        return {
            "state": self.camera.state.value,
            "conditions": self.camera.conditions,
            "frames_captured": self.camera.frames_captured,
            "frames_inspected": counters.inspected,
            "frames_unreadable": counters.unreadable,
            "frames_shed": counters.shed,
            "frames_dropped": self.frames_dropped,
            "frames_damaged": self.camera.frames_damaged,
            "restarts": self.camera.restarts,
            "alerts": counters.alerts,
            "alerts_suppressed": counters.suppressed,
            "verdicts": {kind.value: counters.verdicts[kind] for kind in VerdictKind},
            "fps": round(counters.fps, 3),
            "latency_ms_p50": round(counters.latency.percentile_ms(0.5), 3),
            "latency_ms_p99": round(counters.latency.percentile_ms(0.99), 3),
        }
