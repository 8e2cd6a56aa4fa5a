"""One camera on its way through the daemon: source, memory, figures."""

from dataclasses import dataclass, field

from edge.cameras.process import CameraProcess
from edge.cameras.slot import CameraFrame, Stamp
from edge.continuity import Continuity
from edge.counters import CameraCounters
from edge.track import Tracker
from edge.triggers import CommandTriggers, EveryFrame, with_part
from models.detections import Detections
from models.messages import CameraState, VerdictKind


@dataclass(slots=True)
class Lane:
    """One camera, and what is remembered of it from frame to frame.

    Attributes:
        camera: Where frames come from.
        tracker: Which defects were seen before; of no use for parts.
        counters: Its figures.
        continuity: Whether the tracker's memory still holds.
        triggers: Commands that wait for a frame; none where commands make no parts.
        every_frame: Names of parts, where hardware triggers the camera; else none.
    """

    camera: CameraProcess
    tracker: Tracker
    counters: CameraCounters = field(default_factory=CameraCounters)
    continuity: Continuity = field(default_factory=Continuity)
    triggers: CommandTriggers | None = None
    every_frame: EveryFrame | None = None

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

    def confirm(self, found: Detections, stamp: Stamp, width_px: int) -> Detections:
        """Return the defects that a frame of a free-running camera confirms.

        Args:
            found: What the model saw, with ``boxes_frame``.
            stamp: Of the frame.
            width_px: Of the frame.
        """
        if self.continuity.is_broken_by(
            stamp.captured_ns,
            restarts=self.camera.restarts,
            max_missed=self.tracker.max_missed,
        ):
            self.tracker.forget()
        return self.tracker.update(found, stamp.frame_id, frame_width_px=width_px)

    @property
    def frames_dropped(self) -> int:
        """Frames that came and were never decided."""
        return self.camera.frames_dropped + self.counters.torn

    def summary(self) -> dict[str, object]:
        """Return the figures of this camera, for JSON."""
        counters = self.counters
        return {
            "state": self.camera.state.value,
            "frames_captured": self.camera.frames_captured,
            "frames_inspected": counters.inspected,
            "frames_unreadable": counters.unreadable,
            "frames_dropped": self.frames_dropped,
            "restarts": self.camera.restarts,
            "alerts": counters.alerts,
            "verdicts": {kind.value: counters.verdicts[kind] for kind in VerdictKind},
            "fps": round(counters.fps, 3),
            "latency_ms_p50": round(counters.latency.percentile_ms(0.5), 3),
            "latency_ms_p99": round(counters.latency.percentile_ms(0.99), 3),
        }
