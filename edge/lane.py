"""One camera on its way through the daemon: source, memory, figures."""

from dataclasses import dataclass, field

from edge.cameras.process import CameraProcess
from edge.counters import CameraCounters
from edge.track import Tracker
from models.messages import VerdictKind


@dataclass(slots=True)
class Lane:
    """One camera, and what is remembered of it from frame to frame.

    Attributes:
        camera: Where frames come from.
        tracker: Which defects were seen before; of no use for parts.
        counters: Its figures.
    """

    camera: CameraProcess
    tracker: Tracker
    counters: CameraCounters = field(default_factory=CameraCounters)

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
