"""Growing pauses between attempts. Pure: the random source is an argument."""

from collections.abc import Callable

GROWTH = 2.0
# Shares of a pause that the random source chooses between.
HALF_MORE_OR_LESS = (0.5, 1.5)


class Backoff:
    """Pauses that double up to a limit, each multiplied by a random share.

    Without the random share, all stations of a factory would reconnect to a restarted
    broker in the same instant, again and again.

    Args:
        first_s: First pause, before the random share.
        max_s: Longest pause, before the random share: with the usual shares a pause
            lasts up to half as long again.
        chance: Returns numbers in 0..1. None: no random share.
        shares: Smallest and largest share.

    Attributes:
        failures: Pauses since the start or the last ``reset``.
    """

    def __init__(
        self,
        first_s: float,
        max_s: float,
        chance: Callable[[], float] | None,
        shares: tuple[float, float] = HALF_MORE_OR_LESS,
    ) -> None:
        self.failures = 0
        self._first_s, self._max_s = first_s, max_s
        self._chance, self._shares = chance, shares
        self._pause_s = first_s

    def next_s(self, *, at_most_s: float | None = None) -> float:
        """Return the next pause, in seconds.

        Args:
            at_most_s: Longest value of this pause, before the random share. The
                following pauses double as they would without it.
        """
        self.failures += 1
        pause_s = min(self._pause_s, self._max_s)
        self._pause_s = min(pause_s * GROWTH, self._max_s)
        if at_most_s is not None:
            pause_s = min(pause_s, at_most_s)
        if self._chance is None:
            return pause_s
        low, high = self._shares
        return pause_s * (low + (high - low) * self._chance())

    def reset(self) -> None:
        """Start again with the first pause."""
        self.failures = 0
        self._pause_s = self._first_s
