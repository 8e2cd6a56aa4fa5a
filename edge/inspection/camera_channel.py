"""One camera in the daemon: its process, its rules, their state, and its counters.

The detections of a frame go through the rules in this order::

    detections ─▶ regions ─▶ k of n ─▶ suppression ─▶ RuleResult
                  masks      tracker   counted
                  thresholds (free run) (free run)

A triggered part is reported in full: neither tracker nor suppression apply.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edge.cameras.supervisor import DAMAGED, CameraProcess
from edge.counters import CameraCounters
from edge.frame import CameraFrame, Pixels, Stamp
from edge.inspection.model import LoadedModel
from edge.inspection.rule_comparison import RuleComparison
from edge.rules.alert_suppression import AlertSuppression
from edge.rules.coverage import SilentRule
from edge.rules.defect_rate import DefectRateAlarm
from edge.rules.fast_motion import FastMotion
from edge.rules.part_counter import CountedPart, PartCounter
from edge.rules.regions import Region, RegionMap
from edge.rules.track_reset import TrackReset
from edge.rules.tracker import Tracker
from edge.rules.triggers import CommandTriggers, HardwareTriggers, with_part
from models.boxes import FloatArray
from models.detections import Detections
from models.messages import CameraState, VerdictKind

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The defects and the part that are reported for one frame."""

    detections: Detections  # the reported defects, with `boxes_frame`
    # name of the region of each; empty names where there is no region
    regions: tuple[str, ...]
    # alerts of the same kind that were suppressed before each
    suppressed: tuple[int, ...]
    # name of the part that shows them; None where parts are unknown
    part_id: str | None = None
    # the counted part whose verdict is final with this frame; None = no part is final
    finished_part: CountedPart | None = None


@dataclass(slots=True)
class CameraChannel:
    """One camera, its rules, and their state from frame to frame."""

    camera: CameraProcess
    tracker: Tracker  # unused where each frame shows a part
    regions: tuple[Region, ...]  # in the order of the file
    suppression: AlertSuppression
    defect_rate: DefectRateAlarm
    # counts parts in free run; None = parts are not counted
    part_counter: PartCounter | None = None
    counters: CameraCounters = field(default_factory=CameraCounters)
    track_reset: TrackReset = field(default_factory=TrackReset)
    fast_motion: FastMotion = field(default_factory=FastMotion)
    # learns the common motion outside of the inspect regions too; None = it is the
    # tracker's, because there are none
    motion_tracker: Tracker | None = None
    confirmed: int = 0  # defects that k of n confirmed
    # commands that wait for a frame; None = no command triggers
    command_triggers: CommandTriggers | None = None
    # names of parts; None = hardware does not trigger the camera
    hardware_triggers: HardwareTriggers | None = None
    # result of the last call of `should_skip`
    was_skipped: bool = False
    # wall clock since 1970, when the defect rate alarm was raised or ended
    alarm_since_wall_ns: int = 0
    # compares the rules with the model; None = they are not compared
    comparison: RuleComparison | None = None
    # width and height of the last inspected frame; None before the first
    frame_size_px: tuple[int, int] | None = None
    # why rules in pixels may be wrong since the size of the frames changed; empty else
    resized: str = ""
    wants_snapshot: bool = False  # the next frame is copied to `snapshot`
    snapshot: Pixels | None = None  # a copy that a command asked for
    _map: RegionMap | None = None
    _map_thresholds: FloatArray | None = None

    @property
    def inspects_parts(self) -> bool:
        """Whether each inspected frame is a part, and gets a verdict."""
        return (
            self.command_triggers is not None
            or self.hardware_triggers is not None
            or self.camera.is_triggered
        )

    def assign_part(
        self, frame: CameraFrame
    ) -> tuple[list[CameraFrame], CameraFrame | None]:
        """Assign the next frame of the camera to the part that it shows.

        Returns:
            Parts that were missed before, without pixels, in order; and the frame
            with its part, None = it is not inspected: no command requested it.
        """
        if self.command_triggers is not None:
            missed, part_id = self.command_triggers.assign_part(frame)
            return missed, None if part_id is None else with_part(frame, part_id)
        if self.hardware_triggers is not None:
            missed, part_id = self.hardware_triggers.assign_part(frame)
            return missed, with_part(frame, part_id)
        return [], frame

    def pop_overdue_parts(self, now_ns: int) -> list[CameraFrame]:
        """Remove and return the parts for which no frame came in time.

        Args:
            now_ns: Monotonic clock, read before the newest frame was requested.
        """
        if self.command_triggers is None:
            return []
        camera, fault = self.camera, ""
        if camera.state is not CameraState.UP:
            fault = f"camera {camera.name} {camera.state.value}: {camera.reason}"
        return self.command_triggers.pop_overdue(now_ns, " ".join(fault.split()))

    def abandon_parts(self, reason: str) -> list[CameraFrame]:
        """Remove and return the parts that wait for a frame after the last frame."""
        return self.command_triggers.abandon(reason) if self.command_triggers else []

    def finish_part(self) -> CountedPart | None:
        """Return the counted part that is still in view: no more frames come."""
        return self.part_counter.finish() if self.part_counter else None

    def region_map(self, model: LoadedModel) -> RegionMap:
        """Return the regions for a model's labels and thresholds.

        The map is reused while the model is the same. The model is compared by its
        thresholds, so that a camera without frames keeps no reference to a replaced
        model.
        """
        thresholds = model.score_thresholds
        if (
            self._map is None
            or self._map_thresholds is not thresholds
            or self._map.labels != model.labels
        ):
            self._map = RegionMap(self.regions, model.labels, model.decision_rule)
            self._map_thresholds = thresholds
        return self._map

    def apply_rules(
        self,
        detections: Detections,
        stamp: Stamp,
        pixels: Pixels,
        region_map: RegionMap,
    ) -> RuleResult:
        """Apply the rules to a frame; called once for each, in order.

        Args:
            detections: With ``boxes_frame``, decoded with the map's
                ``lowest_thresholds``.
            region_map: For the model that inspected the frame.
        """
        height_px, width_px = pixels.shape[:2]
        size_px = (width_px, height_px)
        self._note_size(size_px)
        everywhere = detections
        detections = region_map.filter(detections, *size_px)
        if self.inspects_parts:
            names = tuple(region_map.region_names(detections, *size_px))
            return RuleResult(detections, names, (0,) * len(detections), stamp.part_id)
        confirmed = self._confirm(detections, stamp, size_px)
        self._note_motion(everywhere, detections, stamp, confirmed=len(confirmed))
        reason_before = self.defect_rate.reason
        # Before the suppression: suppressed alerts are defects too.
        self.defect_rate.add_defects(len(confirmed), stamp.captured_ns)
        self._log_defect_rate(reason_before, stamp.captured_wall_ns)
        names_confirmed = region_map.region_names(confirmed, *size_px)
        result = self._suppress(confirmed, names_confirmed, stamp, region_map.labels)
        if self.part_counter is None:
            return result
        finished = self.part_counter.update(pixels, stamp)
        if len(confirmed):
            self.part_counter.add_defect()
        part_id = self.part_counter.part_id
        return replace(result, part_id=part_id, finished_part=finished)

    def keep_snapshot(self, pixels: Pixels) -> None:
        """Keep a copy of a frame that a command asked for."""
        kept = pixels.copy()
        if self.camera.is_whole():  # else it was overwritten meanwhile
            self.snapshot, self.wants_snapshot = kept, False

    def count_verdict(self, verdict: VerdictKind, stamp: Stamp) -> None:
        """Count the verdict of a part; called once for each, in order."""
        self.counters.verdicts[verdict] += 1
        reason_before = self.defect_rate.reason
        self.defect_rate.add_verdict(verdict)
        self._log_defect_rate(reason_before, stamp.captured_wall_ns)

    def should_skip(self) -> bool:
        """Return whether the next frame is skipped to save work: every second one."""
        if self.inspects_parts:  # a part is never skipped
            return False
        self.was_skipped = not self.was_skipped
        self.counters.shed += self.was_skipped
        return self.was_skipped

    def take_over(self, old: "CameraChannel", *, has_same_parts: bool) -> None:
        """Move the state that survives a change of the rules from the old channel.

        The moved parts are removed from the old channel, so that they are not reported
        as missed.

        Args:
            old: Channel of the same camera. If its process is another one, only the
                counters are moved.
            has_same_parts: The settings of the part counter did not change.
        """
        self.counters = old.counters  # one name, one set of counters
        if self.comparison is not None and old.comparison is not None:
            self.comparison.reported = old.comparison.reported
        if self.camera is not old.camera:
            return
        self.frame_size_px = old.frame_size_px
        if self.command_triggers is not None and old.command_triggers is not None:
            # Waiting commands refer to the camera, not to its rules.
            self.command_triggers, old.command_triggers = old.command_triggers, None
        if self.part_counter is not None and has_same_parts:
            self.part_counter, old.part_counter = old.part_counter, None
        if self.hardware_triggers is not None:
            self.hardware_triggers = old.hardware_triggers

    def faults(self, model: LoadedModel) -> list[str]:
        """Return, as phrases, the current faults of this camera.

        Args:
            model: The model in force.
        """
        camera = self.camera
        is_lost = camera.state is CameraState.LOST
        conditions = ("lost",) if is_lost else camera.conditions
        faults = [
            f"camera {camera.name} {phrase}"
            for phrase in conditions
            if phrase != DAMAGED  # its share is more than its name
        ]
        current = ("", "") if is_lost else (camera.damage, camera.warning)
        notes = (*current, self.resized)
        faults += [f"camera {camera.name}: {note}" for note in notes if note]
        return faults + [str(rule) for rule in self.silent_rules(model)]

    def silent_rules(self, model: LoadedModel) -> tuple[SilentRule, ...]:
        """Return the rules that hide every defect that a model knows."""
        if self.comparison is None:
            return ()
        return self.comparison.update(
            model,
            self.frame_size_px,
            self.motion_tracker or self.tracker,
            self.fast_motion,
            self.part_counter,
            confirmed=self.confirmed,
        )

    def _note_size(self, size_px: tuple[int, int]) -> None:
        """Log another size of the frames, and which rules count in pixels."""
        before, self.frame_size_px = self.frame_size_px, size_px
        # The pictures of a folder may differ.
        if before is None or before == size_px or self.camera.is_triggered:
            return
        sizes = "{} x {} px now, {} x {} px before".format(*size_px, *before)
        sized = [region.name for region in self.regions if region.min_size_px]
        if sized:
            self.resized = (
                f"its frames are {sizes}: check min_size_px of {', '.join(sized)}, and "
                "reload"
            )
        logger.warning("camera_resized camera=%s sizes=%r", self.camera.name, sizes)

    def _confirm(
        self, detections: Detections, stamp: Stamp, size_px: tuple[int, int]
    ) -> Detections:
        """Return the defects that a frame of a free-running camera confirms."""
        if self.track_reset.update(
            stamp.captured_ns,
            restarts=self.camera.restarts,
            max_missed=self.tracker.max_missed,
            size_px=size_px,
        ):
            self.tracker.reset()
            if self.motion_tracker:
                self.motion_tracker.reset()
            if self.part_counter:
                self.part_counter.mark_gap()
        return self.tracker.update(
            detections, stamp.frame_id, frame_width_px=size_px[0]
        )

    def _note_motion(
        self, everywhere: Detections, counting: Detections, stamp: Stamp, confirmed: int
    ) -> None:
        """Note how far defects move: whether k of n can be reached.

        Args:
            everywhere: Detections inside and outside of the regions.
            counting: Those that the regions keep.
        """
        width_px = self.frame_size_px[0] if self.frame_size_px else 0
        self.confirmed += confirmed
        self.fast_motion.update(
            counting.boxes, stamp.frame_id, width_px, is_confirmed=confirmed > 0
        )
        if self.motion_tracker is not None:
            self.motion_tracker.update(
                everywhere, stamp.frame_id, frame_width_px=width_px
            )

    def _suppress(
        self,
        confirmed: Detections,
        region_names: list[str],
        stamp: Stamp,
        label_names: Sequence[str],
    ) -> RuleResult:
        labels = [label_names[label] for label in confirmed.labels.tolist()]
        counts = [
            self.suppression.admit(region, label, stamp.captured_ns)
            for region, label in zip(region_names, labels, strict=True)
        ]
        reported = [index for index, count in enumerate(counts) if count is not None]
        self.counters.suppressed += len(counts) - len(reported)
        return RuleResult(
            confirmed.select(np.array(reported, np.int64)),
            tuple(region_names[index] for index in reported),
            tuple(count for count in counts if count is not None),
        )

    def _log_defect_rate(self, reason_before: str, wall_ns: int) -> None:
        reason = self.defect_rate.reason
        if bool(reason) == bool(reason_before):
            return
        self.alarm_since_wall_ns = wall_ns
        if reason:
            logger.warning(
                "streak_raised camera=%s reason=%r", self.camera.name, reason
            )
        else:
            logger.info("streak_ended camera=%s", self.camera.name)

    @property
    def state(self) -> CameraState:
        """State of the camera; the defect rate alarm degrades one that is up."""
        state = self.camera.state
        is_alarmed = state is CameraState.UP and self.defect_rate.reason
        return CameraState.DEGRADED if is_alarmed else state

    @property
    def reason(self) -> str:
        """Why it is in this state; empty where there is no reason to give."""
        causes = (" ".join(self.camera.reason.split()), self.defect_rate.reason)
        return "; ".join(cause for cause in causes if cause)

    @property
    def since_wall_ns(self) -> int:
        """Wall clock, since 1970 UTC, of the last change of state."""
        return max(self.camera.since_wall_ns, self.alarm_since_wall_ns)

    @property
    def frames_dropped(self) -> int:
        """Frames that were captured and got no decision."""
        counters = self.counters
        return self.camera.frames_dropped + counters.torn + counters.shed

    def summary(self) -> dict[str, object]:
        """Return the counters of this camera, for JSON."""
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
