"""Which time an expiry is compared with, on a PC whose clock may be wrong. Pure.

A line PC without a network starts in 1970 when its battery is empty, and in 2099 after
a typing error. An expiry that is compared with such a clock locks the PC out, or lets
metadata in that expired long ago. So the clock counts only where it is plausible::

    floor <= clock <= floor + 5 years      the clock
    otherwise                              the floor

The floor is the newest time that is proven: when the accepted timestamp and root were
signed, by keys that are still trusted, or when this software was made. A thief who
signed for the year 2099 loses this effect with the key. Versions of the metadata and
build numbers refuse older packages whatever the clock shows.

Source:
    The fixed time of The Update Framework 1.0.34, section 5.1, with a plausible range.
"""

from datetime import UTC, datetime, timedelta

# Set with each release of Graftline, never from the time of a file: that time comes
# from the clock that is in question. A test compares it with the clock of the tests.
SOFTWARE_DATE = datetime(2026, 11, 30, tzinfo=UTC)

# A PC may lie in a store room for some years; after a longer time its battery is empty.
PLAUSIBLE = timedelta(days=5 * 365)


def raised_floor(*proven: datetime | None) -> datetime:
    """Return the newest proven time.

    Args:
        proven: Aware times at which metadata was signed; None = not known.

    >>> raised_floor(None, datetime(2001, 1, 1, tzinfo=UTC)) == SOFTWARE_DATE
    True
    """
    return max((SOFTWARE_DATE, *(time for time in proven if time is not None)))


def reference_time(clock: datetime, floor: datetime) -> datetime:
    """Return the time that an expiry is compared with.

    Args:
        clock: What the PC's clock shows, aware.
        floor: The newest proven time, aware.

    >>> floor = datetime(2027, 1, 1, tzinfo=UTC)
    >>> reference_time(datetime(1970, 1, 1, tzinfo=UTC), floor).year
    2027
    >>> reference_time(datetime(2028, 1, 1, tzinfo=UTC), floor).year
    2028
    """
    return clock if is_plausible(clock, floor) else floor


def is_plausible(clock: datetime, floor: datetime) -> bool:
    """Return whether a clock counts."""
    return floor <= clock <= floor + PLAUSIBLE
