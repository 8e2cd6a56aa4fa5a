"""One camera on its way through the daemon: source, memory, figures."""

from dataclasses import dataclass, field

from edge.cameras.process import CameraProcess
from edge.cameras.slot import Stamp
from edge.continuity import Continuity
from edge.counters import CameraCounters
from edge.track import Tracker
from models.detections import Detections
from models.messages import VerdictKind


@dataclass(slots=True)
class Lane:
    """One camera, and what is remembered of it from frame to frame.

    Attributes:
        camera: Where frames come from.
        tracker: Which defects were seen before; of no use for parts.
        counters: Its figures.
        continuity: Whether the tracker's memory still holds.
        is_second: The frame last offered to ``sheds`` was skipped.
    """

    camera: CameraProcess
    tracker: Tracker
    counters: CameraCounters = field(default_factory=CameraCounters)
    continuity: Continuity = field(default_factory=Continuity)
    is_second: bool = False

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

    def sheds(self) -> bool:
        """Return whether a frame is skipped to save work: every second, no part."""
        if self.camera.is_triggered:
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
            "frames_captured": self.camera.frames_captured,
            "frames_inspected": counters.inspected,
            "frames_unreadable": counters.unreadable,
            "frames_shed": counters.shed,
            "frames_dropped": self.frames_dropped,
            "restarts": self.camera.restarts,
            "alerts": counters.alerts,
            "verdicts": {kind.value: counters.verdicts[kind] for kind in VerdictKind},
            "fps": round(counters.fps, 3),
            "latency_ms_p50": round(counters.latency.percentile_ms(0.5), 3),
            "latency_ms_p99": round(counters.latency.percentile_ms(0.99), 3),
        }
