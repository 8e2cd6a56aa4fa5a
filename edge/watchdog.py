"""When the daemon may say that it lives: every loop has turned, no thread has ended.

Pure: no clock, no thread. A loop turns also while it has nothing to do, so no turn
means that it hangs. Who is slow but turns is not stuck: what counts is one turn since
the last time that all was well, however long it took. The broker has no say in this: a
restart does not bring it back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found.

    Attributes:
        stuck: Loops that have not turned since all was well, and threads that ended.
        since_ms: For how long all is not well; 0 where it is.
    """

    stuck: tuple[str, ...]
    since_ms: int

    @property
    def is_well(self) -> bool:
        """Whether the watchdog may be fed."""
        return not self.stuck


class Watchdog:
    """Compares the turns of loops with those of the last time that all was well."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}
        self._well_ns = 0

    def look(
        self, turns: Mapping[str, int], ended: Collection[str], now_ns: int
    ) -> Look:
        """Return whether every loop made progress.

        Args:
            turns: Name of a loop to how often it has turned.
            ended: Threads that are gone and should not be.
            now_ns: Monotonic clock.

        >>> watchdog = Watchdog()
        >>> watchdog.look({"outbox": 1}, (), 0).is_well
        True
        >>> watchdog.look({"outbox": 1}, (), 3_000_000_000)
        Look(stuck=('outbox',), since_ms=3000)
        >>> watchdog.look({"outbox": 2}, (), 4_000_000_000).is_well
        True
        """
        still = {
            name for name, count in turns.items() if self._turns.get(name) == count
        }
        stuck = tuple(sorted(still.union(ended)))
        if not stuck:
            self._turns, self._well_ns = dict(turns), now_ns
            return Look((), 0)
        return Look(stuck, (now_ns - self._well_ns) // 1_000_000)
