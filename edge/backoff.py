"""Growing pauses between attempts."""

import random
from collections.abc import Callable

GROWTH = 2.0
JITTER = 0.5


class Backoff:
    """Pauses that double up to a limit, each shifted by chance.

    Without the chance, all stations of a factory would come back to a restarted
    broker in the same instant, again and again.

    Args:
        first_s: First pause.
        max_s: Longest pause, before the shift of up to half of it.
        chance: Gives numbers in 0..1.
    """

    def __init__(
        self, first_s: float, max_s: float, chance: Callable[[], float] = random.random
    ) -> None:
        self._first_s, self._max_s, self._chance = first_s, max_s, chance
        self._pause_s = first_s

    def next_s(self) -> float:
        """Return the next pause, in seconds."""
        pause_s = min(self._pause_s, self._max_s)
        self._pause_s = min(pause_s * GROWTH, self._max_s)
        return pause_s * (1 + JITTER * (2 * self._chance() - 1))

    def reset(self) -> None:
        """Begin again with the first pause."""
        self._pause_s = self._first_s
