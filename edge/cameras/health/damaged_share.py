"""Share of a camera's frames that came damaged, in steps. Pure.

A share that changes with every frame would log and publish a new reason each time, so
it is rounded down to a step, and a step is left only when the share is clearly below.
"""

from collections import deque

WINDOW_S = 60
STEPS_PERCENT = (1, 2, 5, 10, 20, 50, 90)  # below the first the camera is up
LEAVE_SHARE = 0.7  # of the step; else a share near one would enter it again and again
NS_PER_S = 1_000_000_000


class DamagedShare:
    """Counts the frames of the last minute.

    Attributes:
        percent: The step that is reached; 0 = fewer frames than the first step.
    """

    def __init__(self) -> None:
        self.percent = 0
        self._seconds: deque[list[int]] = deque()  # second, frames, damaged frames

    def add(self, now_ns: int, frames: int = 0, damaged: int = 0) -> None:
        """Count frames.

        Args:
            now_ns: Monotonic clock.
            frames: Undamaged ones.
            damaged: Damaged ones, or ones that never came.
        """
        second = now_ns // NS_PER_S
        if not self._seconds or self._seconds[-1][0] != second:
            while self._seconds and self._seconds[0][0] <= second - WINDOW_S:
                self._seconds.popleft()
            self._update()
            self._seconds.append([second, 0, 0])
        self._seconds[-1][1] += frames + damaged
        self._seconds[-1][2] += damaged

    def _update(self) -> None:
        """Enter the step of the complete seconds."""
        total = sum(frames for _, frames, _ in self._seconds)
        damaged = sum(count for _, _, count in self._seconds)
        percent = 100 * damaged / total if total else 0.0
        step = max((each for each in STEPS_PERCENT if each <= percent), default=0)
        if step > self.percent or percent < LEAVE_SHARE * self.percent:
            self.percent = step


def reason_of(percent: int) -> str:
    """Return the reason for a camera that is degraded.

    >>> reason_of(20)
    'at least 20 % of its frames in the last minute came damaged'
    """
    return f"at least {percent} % of its frames in the last minute came damaged"
