"""Limits how often something is done, on average. Pure: time is an argument."""

_NS_PER_S = 1_000_000_000


class TokenBucket:
    """Allows a rate on average, and a burst after a pause.

    Args:
        per_s: What is allowed per second, on average.
        burst: What is allowed at once, at the start and after a long pause.

    Source:
        Token bucket, as in RFC 2697 section 3.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._left = burst
        self._at_ns: int | None = None

    def take(self, amount: float, now_ns: int) -> bool:
        """Take an amount, and return true; or take nothing if it is not allowed now.

        Args:
            now_ns: Monotonic clock.
        """
        if self._at_ns is not None:
            gained = (now_ns - self._at_ns) * self._per_s / _NS_PER_S
            self._left = min(self._burst, self._left + max(gained, 0))
        self._at_ns = now_ns
        if amount > self._left:
            return False
        self._left -= amount
        return True
