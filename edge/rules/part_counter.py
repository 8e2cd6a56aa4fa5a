"""Counting parts that pass a free-running camera, against the empty belt. Pure.

A picture of the empty belt is compared with each frame at a grid of points of a window:
where enough points differ, a part is in view; where hardly any does, it has left. The
window must show one part at a time and the belt between two of them: a gap that no
inspected frame shows is not seen. While the belt is empty its picture adapts to the
light.

Every part gets one verdict shortly after it has left: ``defect`` where one was
confirmed meanwhile; ``not-inspected`` where it was seen in fewer frames than confirm
a defect; else ``ok``.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from edge.frame import Stamp
from models.messages import VerdictKind
from models.preprocess import Frame

WHITE = 255
GRID = 48  # points along each side of the window
# A part's defect may still be confirmed in so many frames after the part has left.
DEFECT_DELAY_FRAMES = 2
RECENT_PARTS = 5  # whose frames are compared with k
ADAPT_RATE = 0.05  # of a change of light, each frame in which the belt is empty

BeltWindow = tuple[float, float, float, float]  # x1, y1, x2, y2 in shares of the frame


class Belt:
    """The empty belt as a background model.

    Args:
        empty: ``[H, W, 3]`` uint8 BGR: the belt without a part, from this camera.
        window: Where parts pass, shares of the frame.
        difference: Grey levels of a colour from which a point is not the belt.
    """

    def __init__(self, empty: Frame, window: BeltWindow, difference: float) -> None:
        self._window, self._difference = window, difference
        self._frame_size_px: tuple[int, int] = (0, 0)
        self._rows = self._columns = np.zeros(0, np.int64)
        self._set_frame_size(*empty.shape[:2])
        rows, columns = self._rows, self._columns
        part = empty[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        # Means, not points: the texture of a belt moves.
        small = cv2.resize(part, (GRID, GRID), interpolation=cv2.INTER_AREA)
        self._background = small.astype(np.float32)  # [G, G, 3]
        self._points = self._background
        self._is_foreground = np.zeros((GRID, GRID), np.bool_)

    def foreground_share(self, pixels: Frame) -> float:
        """Return the share of the window, 0..1, that is not the belt, at any size."""
        self._set_frame_size(*pixels.shape[:2])
        points = pixels[self._rows[:, None], self._columns]  # [G, G, 3]
        self._points = points.astype(np.float32)
        off = np.abs(self._points - self._background).max(axis=2)  # [G, G]
        self._is_foreground = off > self._difference
        return float(np.count_nonzero(self._is_foreground) / GRID**2)

    @property
    def largest_share(self) -> float:
        """The largest share of the window that any part can differ from the belt."""
        farthest = np.maximum(self._background, WHITE - self._background).max(axis=2)
        return float(np.count_nonzero(farthest > self._difference) / GRID**2)

    def adapt(self) -> None:
        """Adapt to the light of the last frame, where it shows the belt."""
        change = ADAPT_RATE * (self._points - self._background)
        # A crumb on the belt must not become background: parts would vanish there.
        change[self._is_foreground] = 0
        self._background += change

    def _set_frame_size(self, height_px: int, width_px: int) -> None:
        """Compute the rows and columns of the grid; kept while the size stays."""
        if self._frame_size_px == (height_px, width_px):
            return
        self._frame_size_px = height_px, width_px
        steps = (np.arange(GRID) + 0.5) / GRID
        x1, y1, x2, y2 = self._window
        self._rows = ((y1 + steps * (y2 - y1)) * height_px).astype(np.int64)
        self._columns = ((x1 + steps * (x2 - x1)) * width_px).astype(np.int64)


@dataclass(frozen=True, slots=True)
class CountedPart:
    """A part that has left."""

    part_id: str
    stamp: Stamp  # stamp of the last frame in which it was seen
    verdict: VerdictKind
    reason: str = ""  # why it was not inspected; empty else


@dataclass(slots=True)
class _PartInView:
    """The part in view, or the one that has just left."""

    part_id: str
    stamp: Stamp
    frames: int = 1  # inspected frames that showed it
    frames_gone: int = 0  # inspected frames since it left; 0 = in view
    has_defect: bool = False
    is_continuous: bool = True  # no frames were missing while it was in view


class PartCounter:
    """Counts the parts of one camera.

    Args:
        run: Prefix of the parts' names, different at each start: makes them unique.
        enter_share: Foreground share of the window from which a part is in view.
        leave_share: Foreground share below which it has left. Less than
            ``enter_share``: with one limit a part half in view would count twice.
        frames_min: Inspected frames below which a part is not inspected.

    Attributes:
        count: Parts until now, the one in view included.
        frames_of_parts: Inspected frames of each of the last parts, without those that
            were not seen until they had left.
    """

    def __init__(
        self,
        belt: Belt,
        run: str,
        *,
        enter_share: float,
        leave_share: float,
        frames_min: int,
    ) -> None:
        self.count = 0
        self._belt, self._run = belt, run
        self._enter_share, self._leave_share = enter_share, leave_share
        self._frames_min = frames_min
        self._part: _PartInView | None = None
        # Replaced as a whole: another thread reads it.
        self.frames_of_parts: tuple[int, ...] = ()

    @property
    def part_id(self) -> str | None:
        """Name of the part in view or that just left; None while the belt is empty."""
        return self._part.part_id if self._part else None

    @property
    def can_count(self) -> bool:
        """Whether any part can differ from the belt so much that it is in view."""
        return self._belt.largest_share >= self._enter_share

    def update(self, pixels: Frame, stamp: Stamp) -> CountedPart | None:
        """Take the next inspected frame.

        Returns:
            The part whose verdict is final with this frame, if there is one.
        """
        share, part = self._belt.foreground_share(pixels), self._part
        if part is None or part.frames_gone:
            return self._update_without_part(share, stamp)
        if share < self._leave_share:
            part.frames_gone = 1
        else:
            part.frames, part.stamp = part.frames + 1, stamp
        return None

    def add_defect(self) -> None:
        """Note that a defect of the part in view is confirmed."""
        if self._part:
            self._part.has_defect = True

    def mark_gap(self) -> None:
        """Note that frames are missing: another part may be in view now."""
        if self._part:
            self._part.is_continuous = False

    def finish(self) -> CountedPart | None:
        """Return the part in view with its verdict so far: no more frames come."""
        if self._part and not self._part.frames_gone:
            self.mark_gap()  # it was not seen until it left
        return self._close()

    def _update_without_part(self, share: float, stamp: Stamp) -> CountedPart | None:
        """Take a frame after the last part has left."""
        if share >= self._enter_share:
            finished = self._close()
            self.count += 1
            self._part = _PartInView(f"{self._run}-{self.count}", stamp)
            return finished
        self._belt.adapt()
        if self._part is None:
            return None
        self._part.frames_gone += 1
        return self._close() if self._part.frames_gone > DEFECT_DELAY_FRAMES else None

    def _close(self) -> CountedPart | None:
        """Return the part in view, or that just left, with its final verdict."""
        part, self._part = self._part, None
        if part is None:
            return None
        if part.is_continuous:
            recent = (*self.frames_of_parts, part.frames)
            self.frames_of_parts = recent[-RECENT_PARTS:]
        reason = ""
        if part.has_defect:
            verdict = VerdictKind.DEFECT
        elif not part.is_continuous:
            verdict, reason = VerdictKind.NOT_INSPECTED, "not seen until it had left"
        elif part.frames < self._frames_min:
            # Fewer frames than confirm a defect: "ok" would not be proven.
            seen, least = part.frames, self._frames_min
            reason = f"inspected in {seen} frames, a defect needs {least}"
            verdict = VerdictKind.NOT_INSPECTED
        else:
            verdict = VerdictKind.OK
        return CountedPart(part.part_id, part.stamp, verdict, reason)
