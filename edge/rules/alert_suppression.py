"""After an alert, more of the same kind is counted instead of reported. Pure.

A scratched roller scratches every part: one alert a second carries no more information
than one a minute with the number of alerts it stands for. Label and region make the
kind. The window starts with a reported alert and suppressed ones do not prolong it, so
a lasting fault is reported again and again, each time with the number suppressed.
"""

NS_PER_S = 1_000_000_000


class AlertSuppression:
    """Decides which alerts of one camera are reported.

    Args:
        cool_down_s: Seconds after a reported alert; 0 = every alert is reported.
    """

    def __init__(self, cool_down_s: float) -> None:
        self._window_ns = round(cool_down_s * NS_PER_S)
        self._reported_ns: dict[tuple[str, str], int] = {}
        self._suppressed: dict[tuple[str, str], int] = {}

    def admit(self, region: str, label: str, now_ns: int) -> int | None:
        """Decide about one alert.

        Args:
            region: Name of the region of the defect; empty = no regions are drawn.
            now_ns: Monotonic clock of the frame's capture.

        Returns:
            How many alerts of this kind were suppressed before this one, which is
            reported; None = this one is suppressed too.
        """
        if self._window_ns == 0:
            return 0
        kind = region, label
        reported_ns = self._reported_ns.get(kind)
        if reported_ns is not None and now_ns - reported_ns < self._window_ns:
            # The window is not prolonged: a lasting fault must not become silent.
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return None
        self._reported_ns[kind] = now_ns
        return self._suppressed.pop(kind, 0)
