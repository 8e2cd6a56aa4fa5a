"""Whether tracks from before a gap in the frames of one camera are still valid. Pure.

A track without a match is deleted after some inspected frames (``track_max_missed``).
While a camera is disconnected no frame is inspected and no track would be deleted: a
part in the same place an hour later would be mistaken for the reported one. So all
tracks are reset when

* the camera's process was restarted, or
* frames have another size: earlier boxes mean another place, or
* the time between two captures exceeds what ``track_max_missed`` inspected frames take
  (times ``GAP_FACTOR``, at least ``GAP_MIN_NS``).

A defect that still lies there is then reported again: better twice than never.
"""

from dataclasses import dataclass

GAP_MIN_NS = 1_000_000_000  # shorter gaps are a busy machine, not an outage
GAP_FACTOR = 2  # frames come unevenly: twice the expected time is no outage yet
NEW_PERIOD_SHARE = 0.5  # weight of the newest gap in the average period


@dataclass(slots=True)
class TrackReset:
    """Follows the capture times of one camera."""

    captured_ns: int = 0  # monotonic clock of the last capture; 0 before the first
    period_ns: float = 0.0  # average time between two inspected frames; 0 while unknown
    restarts: int = 0  # restarts of the camera's process, at the last capture
    size_px: tuple[int, int] | None = None  # width and height of the last frame

    def update(
        self,
        captured_ns: int,
        *,
        restarts: int,
        max_missed: int,
        size_px: tuple[int, int] | None = None,
    ) -> bool:
        """Take the next capture; return whether earlier tracks must be reset.

        Args:
            restarts: Restarts of the camera's process until then.
            max_missed: Inspected frames after which an unmatched track is deleted.
            size_px: Width and height of the frame; None = unknown.
        """
        is_first = self.captured_ns == 0
        is_new_stream = restarts != self.restarts or size_px != self.size_px
        gap_ns, self.captured_ns = captured_ns - self.captured_ns, captured_ns
        self.restarts, self.size_px = restarts, size_px
        if is_first:
            return False
        # At least one frame: with track_max_missed = 0 every gap of a slow camera
        # would be an outage, and k = 2 could never be reached.
        missed = max(1, max_missed)
        limit_ns = max(GAP_MIN_NS, GAP_FACTOR * missed * self.period_ns)
        if not is_new_stream:
            # A gap counts up to the limit: one outage does not make every later gap
            # seem normal, and a camera that became slow is learned in a few frames.
            usual_ns = min(gap_ns, limit_ns) if self.period_ns else gap_ns
            before_ns = self.period_ns or usual_ns
            self.period_ns = before_ns + NEW_PERIOD_SHARE * (usual_ns - before_ns)
        return is_new_stream or gap_ns > limit_ns
