"""Maintenance windows: when a line PC may be flashed. Pure: no clock.

``22:00-05:00`` is every night; ``Sat-Sun 06:00-18:00`` the days of a weekend. A window
that passes midnight belongs to the day on which it opens. Times are those of the wall
clock of the workstation.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALL_DAYS = frozenset(range(7))
WINDOW_RULE = "expected HH:MM-HH:MM, for example 22:00-05:00 or Sat-Sun 06:00-18:00"
WINDOW = re.compile(
    r"(?:(?P<first>[A-Za-z]{3})(?:-(?P<last>[A-Za-z]{3}))?\s+)?"
    r"(?P<opens>\d\d:\d\d)\s*-\s*(?P<closes>\d\d:\d\d)"
)


@dataclass(frozen=True, slots=True)
class Window:
    """One window.

    Attributes:
        days: On which it opens; 0 = Monday.
        opens: Local time, included.
        closes: Local time, not included; before ``opens`` = on the next day.
    """

    days: frozenset[int]
    opens: time
    closes: time

    def is_open(self, now: datetime) -> bool:
        """Return whether the window is open at a local time."""
        day, moment = now.weekday(), now.time().replace(tzinfo=None)
        if self.opens < self.closes:
            return day in self.days and self.opens <= moment < self.closes
        is_evening = day in self.days and moment >= self.opens
        is_morning = (day - 1) % 7 in self.days and moment < self.closes
        return is_evening or is_morning

    def __str__(self) -> str:
        """Return the window as an inventory writes it; days that follow are joined."""
        hours = f"{self.opens:%H:%M}-{self.closes:%H:%M}"
        if self.days == ALL_DAYS:
            return hours
        first = next(day for day in self.days if (day - 1) % 7 not in self.days)
        last = next(day for day in self.days if (day + 1) % 7 not in self.days)
        names = dict.fromkeys(DAYS[day].capitalize() for day in (first, last))
        return f"{'-'.join(names)} {hours}"


def parse_window(text: str) -> Window:
    """Return the window that a text of the inventory describes.

    Raises:
        ValueError: It describes none; the message has the rule.
    """
    parts = WINDOW.fullmatch(text.strip())
    if parts is None:
        raise ValueError(WINDOW_RULE)
    opens, closes = _time_of(parts["opens"]), _time_of(parts["closes"])
    if opens == closes:
        msg = "it opens and closes at the same time; for a whole day leave it out"
        raise ValueError(msg)
    return Window(_days_between(parts["first"], parts["last"]), opens, closes)


def is_open(windows: Sequence[Window], now: datetime) -> bool:
    """Return whether a PC may be flashed; one without windows always may."""
    return not windows or any(window.is_open(now) for window in windows)


def _time_of(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError as exc:
        msg = f"{text} is no time of the day; {WINDOW_RULE}"
        raise ValueError(msg) from exc


def _days_between(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return ALL_DAYS
    start, end = (_day_of(each) for each in (first, last or first))
    return frozenset((start + step) % 7 for step in range((end - start) % 7 + 1))


def _day_of(name: str) -> int:
    if name.lower() not in DAYS:
        msg = f"{name} is no day; expected {', '.join(d.capitalize() for d in DAYS)}"
        raise ValueError(msg)
    return DAYS.index(name.lower())
