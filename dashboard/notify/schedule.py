"""When a receiver is sent something: quiet hours and the wait after a failure. Pure."""

from collections.abc import Iterable
from datetime import datetime

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 600.0


def is_quiet_time(local: datetime, quiet_hours: Iterable[str]) -> bool:
    """Return whether a moment is in quiet hours.

    Args:
        local: In the plant's zone.
        quiet_hours: ``HH:MM-HH:MM``; an end before the start is on the next day, and an
            end equal to the start means the whole day.

    >>> is_quiet_time(datetime(2026, 1, 1, 23, 0), ["22:00-06:00"])
    True
    >>> is_quiet_time(datetime(2026, 1, 1, 6, 0), ["22:00-06:00"])
    False
    """
    now = local.hour * 60 + local.minute
    for span in quiet_hours:
        start, end = (_minutes(text) for text in span.split("-"))
        is_inside = start <= now < end if start < end else now >= start or now < end
        if is_inside:
            return True
    return False


def wait_s(attempts: int, asked_s: float = 0) -> float:
    """Return the wait before the next attempt.

    Args:
        attempts: Number of attempts that failed, at least 1.
        asked_s: What the receiver asked for.
    """
    doubled = FIRST_WAIT_S * 2.0 ** min(attempts - 1, 16)
    return min(max(doubled, asked_s), LONGEST_WAIT_S)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
