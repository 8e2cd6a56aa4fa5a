"""The wall clock of this machine, in the unit of the history."""

import time

NS_PER_MS = 1_000_000


def now_ms() -> int:
    """Return the wall clock in milliseconds since 1970, UTC."""
    return time.time_ns() // NS_PER_MS
