"""How large a picture may be that the broker takes, learned from what happens to it.

A broker announces its limit in MQTT 5 only. Others close the connection at a picture
that is too large, or confirm it and drop it; a proxy or a bridge does the same. The
limit is therefore searched: it is halved where a picture failed, never below the size
of one that passed, and tried again at growing intervals.
"""

from models.backoff import Backoff

PICTURE_MIN_BYTES = 1500  # 32 x 24 pixels; below, no picture is sent
# The broker may have another limit by now; a picture that fails costs a reconnect.
PROBE_FIRST_S, PROBE_MAX_S = 600.0, 4 * 3600.0
NS_PER_S = 1_000_000_000


class PictureLimit:
    """The largest picture to send. All times are of the monotonic clock.

    Attributes:
        max_bytes: None: no limit is known; 0: no picture passes.
        passed_bytes: Largest picture that passed since the last reset.
    """

    def __init__(self) -> None:
        self.max_bytes: int | None = None
        self.passed_bytes = 0
        self._probe_due_ns = 0
        self._pauses = Backoff(PROBE_FIRST_S, PROBE_MAX_S, chance=None)

    def failed(self, size_bytes: int, now_ns: int) -> None:
        """Note that a picture did not pass because of its size."""
        limit_bytes = size_bytes // 2
        if self.passed_bytes < size_bytes:
            limit_bytes = max(limit_bytes, self.passed_bytes)
        else:  # the broker took this size before: its limit was lowered
            self.passed_bytes = 0
        if self.max_bytes is not None:
            limit_bytes = min(limit_bytes, self.max_bytes)
        self.max_bytes = limit_bytes if limit_bytes >= PICTURE_MIN_BYTES else 0
        if self._probe_due_ns <= now_ns:
            self._probe_due_ns = now_ns + int(self._pauses.next_s() * NS_PER_S)

    def passed(self, size_bytes: int) -> None:
        """Note that a picture passed."""
        self.passed_bytes = max(self.passed_bytes, size_bytes)

    def is_probe_due(self, now_ns: int) -> bool:
        """Return whether a larger picture is to be tried again."""
        return self.max_bytes is not None and now_ns >= self._probe_due_ns

    def forget(self) -> None:
        """Try pictures of any size again; what passed stays known."""
        self.max_bytes = None

    def reset(self) -> None:
        """Forget everything: the broker may be another one."""
        self.max_bytes, self.passed_bytes = None, 0
        self._pauses.reset()
        self._probe_due_ns = 0
