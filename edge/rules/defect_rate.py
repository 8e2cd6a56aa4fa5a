"""Many defects in a row: not a bad part, a bad machine. Pure.

Two ways to see it: defective parts one after the other, where parts are known; more
defects in a window of time than usual, where they are not. The first ends with a good
part, the second when the window holds no more than half as many: a line at the limit
does not make the alarm chatter. A part that was not inspected says nothing.
"""

from collections import deque

from models.messages import VerdictKind

NS_PER_S = 1_000_000_000


class DefectRateAlarm:
    """Watches the defects of one camera.

    Args:
        parts: Defective parts in a row that raise the alarm; 0 = never.
        alerts: More defects than this within the window raise it; 0 = never.
        window_s: Length of the window.
    """

    def __init__(self, parts: int = 0, alerts: int = 0, window_s: float = 600) -> None:
        self._parts, self._alerts, self._window_s = parts, alerts, window_s
        self._window_ns = round(window_s * NS_PER_S)
        self._in_a_row = 0
        self._seen_ns: deque[int] = deque(maxlen=alerts + 1)
        self._is_crowded = False

    @property
    def reason(self) -> str:
        """Why the alarm is raised; empty while it is not."""
        if self._parts and self._in_a_row >= self._parts:
            return f"defect streak: {self._parts} or more defective parts in a row"
        if self._is_crowded:
            most, window_s = self._alerts, self._window_s
            return f"defect streak: more than {most} defects in {window_s:g} s"
        return ""

    def part(self, verdict: VerdictKind) -> None:
        """Take the verdict of the next part.

        Args:
            verdict: What was said of it.
        """
        if verdict is VerdictKind.DEFECT:
            self._in_a_row += 1
        elif verdict is VerdictKind.OK:
            self._in_a_row = 0

    def defects(self, count: int, now_ns: int) -> None:
        """Take the newly confirmed defects of an inspected frame, also none.

        Args:
            count: How many, told or held back.
            now_ns: Monotonic clock of the frame's capture.
        """
        if not self._alerts:
            return
        self._seen_ns.extend([now_ns] * min(count, self._alerts + 1))
        while self._seen_ns and now_ns - self._seen_ns[0] > self._window_ns:
            self._seen_ns.popleft()
        if len(self._seen_ns) > self._alerts:
            self._is_crowded = True
        elif len(self._seen_ns) <= self._alerts // 2:
            self._is_crowded = False
