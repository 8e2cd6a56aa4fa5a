"""Whether a frame can still show what the frame before it showed.

A defect out of sight is forgotten after some inspected frames (``track_max_missed``).
While a camera is away no frame is inspected and nothing would be forgotten: the part
that lies there an hour later would pass for the one that was reported. So what is
remembered is thrown away when

* the camera's process was started anew, or
* frames have another size: boxes of before mean another place, or
* the time between two captures is more than twice what ``track_max_missed`` inspected
  frames take of late, and more than a second.

A defect that still lies there is then reported again: better twice than never. Pure.
"""

from dataclasses import dataclass

GAP_MIN_NS = 1_000_000_000  # below, it may be a busy machine
GAP_FACTOR = 2  # against frames that come unevenly
NEW_PERIOD_SHARE = 0.5


@dataclass(slots=True)
class TrackReset:
    """Watches the captures of one camera.

    Attributes:
        captured_ns: Monotonic clock of the last capture; 0 before the first.
        period_ns: Time between two inspected frames of late; 0 while unknown.
        restarts: Of the camera's process, at the last capture.
        size_px: Height and width of the last frame.
    """

    captured_ns: int = 0
    period_ns: float = 0.0
    restarts: int = 0
    size_px: tuple[int, int] | None = None

    def is_broken_by(
        self,
        captured_ns: int,
        *,
        restarts: int,
        max_missed: int,
        size_px: tuple[int, int] | None = None,
    ) -> bool:
        """Return whether nothing from before this capture counts any more.

        Args:
            captured_ns: Monotonic clock of the capture.
            restarts: Of the camera's process until then.
            max_missed: Inspected frames after which a defect is forgotten.
            size_px: Height and width of the frame, where they are known.
        """
        is_first = self.captured_ns == 0
        is_anew = restarts != self.restarts or size_px != self.size_px
        gap_ns, self.captured_ns = captured_ns - self.captured_ns, captured_ns
        self.restarts, self.size_px = restarts, size_px
        if is_first:
            return False
        limit_ns = max(GAP_MIN_NS, GAP_FACTOR * max_missed * self.period_ns)
        if not is_anew:
            # A gap counts up to the limit: a camera that became slow is learnt.
            usual_ns = min(gap_ns, limit_ns) if self.period_ns else gap_ns
            before_ns = self.period_ns or usual_ns
            self.period_ns = before_ns + NEW_PERIOD_SHARE * (usual_ns - before_ns)
        return is_anew or gap_ns > limit_ns
