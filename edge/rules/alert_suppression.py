"""After an alert, more of the same kind is counted instead of told. Pure.

A scratched roller scratches every part: one alert a second says no more than one a
minute that says how many there were. Label and region make the kind. The window starts
with an alert that is told and is not prolonged by those that are not, so a fault that
stays is told again and again, each time with the number of those held back.
"""

NS_PER_S = 1_000_000_000


class AlertSuppression:
    """Decides which alerts of one camera are told.

    Args:
        cool_down_s: Seconds after an alert; 0 = every alert is told.
    """

    def __init__(self, cool_down_s: float) -> None:
        self._window_ns = round(cool_down_s * NS_PER_S)
        self._told_ns: dict[tuple[str, str], int] = {}
        self._held_back: dict[tuple[str, str], int] = {}

    def admit(self, region: str, label: str, now_ns: int) -> int | None:
        """Return how many were held back before this alert; none = hold it back too.

        Args:
            region: Name of the region that has the defect.
            label: What it is.
            now_ns: Monotonic clock of the frame's capture.
        """
        if self._window_ns == 0:
            return 0
        kind = region, label
        told_ns = self._told_ns.get(kind)
        if told_ns is not None and now_ns - told_ns < self._window_ns:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return None
        self._told_ns[kind] = now_ns
        return self._held_back.pop(kind, 0)
