"""Counting parts that pass a free-running camera, by what hides the empty belt. Pure.

A picture of the empty belt is compared with each frame at a grid of points of a window;
where enough of them differ, a part is in view, where hardly any does, it has left. Two
limits instead of one keep a part that is half in view from being counted twice. The
window must show one part at a time and the belt between two of them: a gap that no
inspected frame shows is not seen. While the belt is empty the picture of it follows the
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

GRID = 48  # points along each side of the window
LINGER_FRAMES = 2  # a defect of the part may still be confirmed so much later
FOLLOW_SHARE = 0.05  # of a change of light, each frame in which the belt is empty

BeltWindow = tuple[float, float, float, float]  # x1, y1, x2, y2 in shares of the frame


class Belt:
    """The empty belt, and how much of it is hidden.

    Args:
        empty: ``[H, W, 3]`` uint8 BGR: the belt without a part, from this camera.
        window: Where parts are looked for, shares of the frame.
        difference: Grey levels of a colour from which a point is not the belt.
    """

    def __init__(self, empty: Frame, window: BeltWindow, difference: float) -> None:
        self._window, self._difference = window, difference
        self._places: tuple[int, int] = (0, 0)
        self._rows = self._columns = np.zeros(0, np.int64)
        self._find_points(*empty.shape[:2])
        rows, columns = self._rows, self._columns
        part = empty[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        # Means, not points: the texture of a belt moves.
        small = cv2.resize(part, (GRID, GRID), interpolation=cv2.INTER_AREA)
        self._empty = small.astype(np.float32)  # [G, G, 3]
        self._points = self._empty
        self._is_hidden = np.zeros((GRID, GRID), np.bool_)

    def hidden_share(self, pixels: Frame) -> float:
        """Return how much of the window is not the belt, 0..1.

        Args:
            pixels: ``[H, W, 3]`` uint8 BGR, any size.
        """
        self._find_points(*pixels.shape[:2])
        points = pixels[self._rows[:, None], self._columns]  # [G, G, 3]
        self._points = points.astype(np.float32)
        off = np.abs(self._points - self._empty).max(axis=2)  # [G, G]
        self._is_hidden = off > self._difference
        return float(np.count_nonzero(self._is_hidden) / GRID**2)

    def follow(self) -> None:
        """Follow the light in the frame last looked at, where the belt is seen."""
        change = FOLLOW_SHARE * (self._points - self._empty)
        change[self._is_hidden] = 0
        self._empty += change

    def _find_points(self, height_px: int, width_px: int) -> None:
        """Find the rows and columns of the grid in frames of a size."""
        if self._places == (height_px, width_px):
            return
        self._places = height_px, width_px
        steps = (np.arange(GRID) + 0.5) / GRID
        x1, y1, x2, y2 = self._window
        self._rows = ((y1 + steps * (y2 - y1)) * height_px).astype(np.int64)
        self._columns = ((x1 + steps * (x2 - x1)) * width_px).astype(np.int64)


@dataclass(frozen=True, slots=True)
class CountedPart:
    """A part that has left.

    Attributes:
        part_id: Its name.
        stamp: Of the last frame in which it was seen.
        verdict: What is said of it.
        reason: Why it was not inspected.
    """

    part_id: str
    stamp: Stamp
    verdict: VerdictKind
    reason: str = ""


@dataclass(slots=True)
class _Passing:
    """The part in view, or the one that has just left."""

    part_id: str
    stamp: Stamp
    frames: int = 1
    frames_gone: int = 0
    has_defect: bool = False
    is_followed: bool = True


class PartCounter:
    """Counts the parts of one camera.

    Args:
        belt: The empty belt.
        run: Makes names unique: another one at each start.
        enter_share: Hidden share of the window from which a part is in view.
        leave_share: Hidden share below which it has left.
        frames_min: Inspected frames without which nothing can be said of a part.

    Attributes:
        count: Parts until now, the one in view among them.
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
        self._part: _Passing | None = None

    @property
    def part_id(self) -> str | None:
        """Name of the part in view or just gone; none while the belt is empty."""
        return self._part.part_id if self._part else None

    def look(self, pixels: Frame, stamp: Stamp) -> CountedPart | None:
        """Take the next inspected frame; return the part that is over, if one is.

        Args:
            pixels: ``[H, W, 3]`` uint8 BGR.
            stamp: Of the frame.
        """
        hidden, part = self._belt.hidden_share(pixels), self._part
        if part is None or part.frames_gone:
            return self._wait_for_next(hidden, stamp)
        if hidden < self._leave_share:
            part.frames_gone = 1
        else:
            part.frames, part.stamp = part.frames + 1, stamp
        return None

    def found_defect(self) -> None:
        """Note that a defect of the part in view is confirmed."""
        if self._part:
            self._part.has_defect = True

    def lose_sight(self) -> None:
        """Note that frames are missing: what was in view may be another part now."""
        if self._part:
            self._part.is_followed = False

    def finish(self) -> CountedPart | None:
        """Return the part in view as it is known, if there is one: no more frames."""
        if self._part and not self._part.frames_gone:
            self.lose_sight()
        return self._close()

    def _wait_for_next(self, hidden: float, stamp: Stamp) -> CountedPart | None:
        """Take a frame in which the last part is gone."""
        if hidden >= self._enter_share:
            before = self._close()
            self.count += 1
            self._part = _Passing(f"{self._run}-{self.count}", stamp)
            return before
        self._belt.follow()
        if self._part is None:
            return None
        self._part.frames_gone += 1
        return self._close() if self._part.frames_gone > LINGER_FRAMES else None

    def _close(self) -> CountedPart | None:
        """Return the last word on the part in view or just gone."""
        part, self._part = self._part, None
        if part is None:
            return None
        reason = ""
        if part.has_defect:
            verdict = VerdictKind.DEFECT
        elif not part.is_followed:
            verdict, reason = VerdictKind.NOT_INSPECTED, "not seen until it had left"
        elif part.frames < self._frames_min:
            seen, least = part.frames, self._frames_min
            reason = f"inspected in {seen} frames, a defect needs {least}"
            verdict = VerdictKind.NOT_INSPECTED
        else:
            verdict = VerdictKind.OK
        return CountedPart(part.part_id, part.stamp, verdict, reason)
