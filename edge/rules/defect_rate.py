"""Alarm for many defects in a row: not a bad part, a bad machine. Pure.

Where parts are known: so many defective parts one after the other; a good part ends the
alarm. Where they are not: more defects in a window of time than usual; it ends when the
window holds no more than half as many.
"""

from collections import deque

from models.counted import counted
from models.messages import VerdictKind

NS_PER_S = 1_000_000_000


class DefectRateAlarm:
    """Counts the defects of one camera.

    Args:
        parts: Defective parts in a row that raise the alarm; 0 = never.
        alerts: More defects than this within the window raise it; 0 = never.
    """

    def __init__(self, *, parts: int, alerts: int, window_s: float) -> None:
        self._parts, self._alerts, self._window_s = parts, alerts, window_s
        self._window_ns = round(window_s * NS_PER_S)
        self._in_a_row = 0
        # One more than the limit shows that it is exceeded: bounded memory.
        self._defects_ns: deque[int] = deque(maxlen=alerts + 1)
        self._is_over_limit = False

    @property
    def reason(self) -> str:
        """Why the alarm is raised; empty while it is not."""
        if self._parts and self._in_a_row >= self._parts:
            return f"defect streak: {self._parts} or more defective parts in a row"
        if self._is_over_limit:
            most, window_s = self._alerts, self._window_s
            return (
                f"defect streak: more than {counted(most, 'defect')} in {window_s:g} s"
            )
        return ""

    def add_verdict(self, verdict: VerdictKind) -> None:
        """Take the verdict of the next part."""
        if verdict is VerdictKind.DEFECT:
            self._in_a_row += 1
        elif verdict is VerdictKind.OK:
            self._in_a_row = 0
        # A part that was not inspected neither raises nor ends the alarm.

    def add_defects(self, count: int, now_ns: int) -> None:
        """Take the newly confirmed defects of an inspected frame.

        Args:
            count: How many, suppressed ones included; 0 lets time pass.
            now_ns: Monotonic clock of the frame's capture.
        """
        if not self._alerts:
            return
        self._defects_ns.extend([now_ns] * min(count, self._alerts + 1))
        while self._defects_ns and now_ns - self._defects_ns[0] > self._window_ns:
            self._defects_ns.popleft()
        if len(self._defects_ns) > self._alerts:
            self._is_over_limit = True
        # Hysteresis: a line at the limit does not make the alarm chatter.
        elif len(self._defects_ns) <= self._alerts // 2:
            self._is_over_limit = False
