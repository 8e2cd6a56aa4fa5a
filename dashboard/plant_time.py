"""The calendar of the plant: its time zone, its days and its shifts. Pure.

The history holds UTC. A day lasts from midnight to midnight by the clocks of the plant,
so that it has 23 or 25 hours where they change; a shift lasts from its start to its end
by the same clocks. A time of day that is there twice means the first one; one that the
clocks skip means the moment at which they skip it. With this rule later times of day
are never earlier moments, and each moment belongs to exactly one day and to at most one
shift: sums of days and shifts count nothing twice and leave nothing out.
"""

import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Protocol

MINUTES_PER_DAY = 24 * 60
MS_PER_MINUTE = 60_000
MS_PER_HOUR = 60 * MS_PER_MINUTE
TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
LENGTH = re.compile(r"([1-9]\d{0,2})([dh])")
MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?"
)
DATE_CHARS = len("2026-01-31")
SPAN_MAX_DAYS = 400  # a year, and the month that it is compared with
YEARS = range(1971, 2200)  # every zone, and a date of Python, can hold these
SHIFTS_MAX = 12
ONE_DAY = timedelta(days=1)
SPAN_WORDS = ("this-shift", "last-shift", "today", "yesterday", "7d", "30d")
"""Spans that pages offer; other numbers of ``d`` and ``h`` are understood too."""


class ShiftTimes(Protocol):
    """A shift as the settings define it."""

    @property
    def name(self) -> str:
        """Unique among the shifts."""

    @property
    def start(self) -> str:
        """``HH:MM`` by the clocks of the plant."""

    @property
    def end(self) -> str:
        """``HH:MM``, or ``24:00``; not after ``start``: on the next day."""


@dataclass(frozen=True, slots=True)
class ShiftHours:
    """A shift, see ``ShiftTimes``."""

    name: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time, its end not included.

    Attributes:
        start_ms: UTC, milliseconds since 1970.
    """

    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        """Milliseconds from start to end."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class ShiftSpan:
    """One shift of one day.

    Attributes:
        date: The day on which it starts, by the clocks of the plant.
    """

    name: str
    date: date
    span: Span


class PlantTime:
    """Converts between moments, and days and shifts of the plant.

    Args:
        zone: IANA name, for example ``Europe/Berlin``.
        shifts: In any order; there may be gaps between them, but no overlaps. None:
            ``DAY``.

    Raises:
        ValueError: ``faults_of`` finds a fault.
    """

    def __init__(self, zone: str, shifts: Sequence[ShiftTimes]) -> None:
        if faults := faults_of(zone, shifts):
            raise ValueError(" ".join(faults))
        shifts = shifts or (DAY,)
        self.zone = zone
        self._zone = zoneinfo.ZoneInfo(zone)
        self.shifts = tuple(
            sorted(
                (ShiftHours(each.name, each.start, each.end) for each in shifts),
                key=lambda shift: shift.start,
            )
        )

    def local(self, ms: int) -> datetime:
        """Return a moment by the clocks of the plant.

        >>> str(PlantTime("Europe/Berlin", [DAY]).local(1_761_438_600_000))
        '2025-10-26 02:30:00+02:00'
        """
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone(self._zone)

    def date_of(self, ms: int) -> date:
        """Return the day of a moment."""
        return self.local(ms).date()

    def moment(self, local: datetime) -> int:
        """Return the first moment at which the plant's clocks show a time, or later.

        Args:
            local: Without a zone, of the years 1971 to 2199.

        Returns:
            UTC, milliseconds since 1970.
        """
        zoned = local.replace(tzinfo=self._zone)
        first = _utc_ms(zoned.replace(fold=0))
        other = _utc_ms(zoned.replace(fold=1))
        if first <= other:  # it is there once, or twice
            return first
        # It is skipped: find the first moment at which the clocks show more.
        low, high = other, first
        while high - low > 1:
            middle = (low + high) // 2
            if self.local(middle).replace(tzinfo=None) >= local:
                high = middle
            else:
                low = middle
        return high

    def day_span(self, day: date) -> Span:
        """Return a day, which has 23 or 25 hours where the clocks change."""
        return Span(self._at(day, 0), self._at(day, MINUTES_PER_DAY))

    def shift_spans(self, day: date) -> list[ShiftSpan]:
        """Return the shifts that start on a day, the earliest first."""
        return [self._shift_span(shift, day) for shift in self.shifts]

    def shift_of(self, ms: int) -> ShiftSpan | None:
        """Return the shift of a moment; None between two shifts."""
        day = self.date_of(ms)
        for start_day in (day, day - ONE_DAY):
            for each in self.shift_spans(start_day):
                if each.span.start_ms <= ms < each.span.end_ms:
                    return each
        return None

    def last_shift_before(self, ms: int) -> ShiftSpan:
        """Return the shift that ended last, at or before a moment."""
        return max(
            (each for each in self._around(ms) if each.span.end_ms <= ms),
            key=lambda each: each.span.end_ms,
        )

    def first_shift_after(self, ms: int) -> ShiftSpan:
        """Return the shift that starts first, at or after a moment."""
        day = self.date_of(ms)
        return min(
            (
                each
                for after in range(4)
                for each in self.shift_spans(day + after * ONE_DAY)
                if each.span.start_ms >= ms
            ),
            key=lambda each: each.span.start_ms,
        )

    def spans_of_shift(self, name: str, within: Span) -> list[Span]:
        """Return the parts of a span that belong to a shift, the earliest first.

        Args:
            name: Name of a shift; without one of this name nothing is returned.
        """
        day, last = self.date_of(within.start_ms), self.date_of(within.end_ms)
        spans, day = [], day - ONE_DAY
        shift = next((each for each in self.shifts if each.name == name), None)
        while shift is not None and day <= last:
            whole = self._shift_span(shift, day).span
            start_ms = max(whole.start_ms, within.start_ms)
            end_ms = min(whole.end_ms, within.end_ms)
            if start_ms < end_ms:
                spans.append(Span(start_ms, end_ms))
            day += ONE_DAY
        return spans

    def span_of(self, word: str, now_ms: int) -> Span:
        """Return the span that a name of the URL means.

        Args:
            word: ``this-shift`` (between two shifts: the one that ended last),
                ``last-shift`` (the one before it), ``today``, ``yesterday``, ``<n>d``
                (today and the days before it, n in all) or ``<n>h`` (the last n
                hours, up to now).
            now_ms: Wall clock, UTC.

        Raises:
            ValueError: It means no span, or more than ``SPAN_MAX_DAYS`` days.
        """
        today = self.date_of(now_ms)
        match word:
            case "this-shift":
                return (self.shift_of(now_ms) or self.last_shift_before(now_ms)).span
            case "last-shift":
                return self.last_shift_before(
                    self.span_of("this-shift", now_ms).start_ms
                ).span
            case "today":
                return self.day_span(today)
            case "yesterday":
                return self.day_span(today - ONE_DAY)
        length = LENGTH.fullmatch(word)
        if length is None:
            raise ValueError(f"not a span of time: {word[:40]!r}")
        count, is_hours = int(length[1]), length[2] == "h"
        if is_hours:
            return Span(now_ms - count * MS_PER_HOUR, now_ms)
        first = self.day_span(today - (count - 1) * ONE_DAY)
        return _checked(Span(first.start_ms, self.day_span(today).end_ms))

    def span_between(self, first: str, last: str, now_ms: int) -> Span:
        """Return the span between two times of the URL.

        Args:
            first: ``YYYY-MM-DD``, or ``YYYY-MM-DDTHH:MM`` by the clocks of the plant;
                with ``Z`` or an offset such as ``+02:00``, any moment.
            last: In the same form, later; a day is included. Empty: now.
            now_ms: Wall clock, UTC.

        Raises:
            ValueError: One is no time, or they are no span of at most
                ``SPAN_MAX_DAYS`` days.
        """
        end_ms = self._bound(last, is_end=True) if last else now_ms
        return _checked(Span(self._bound(first, is_end=False), end_ms))

    def _bound(self, text: str, *, is_end: bool) -> int:
        try:
            found = datetime.fromisoformat(text) if MOMENT.fullmatch(text) else None
        except ValueError:  # the 30th of February
            found = None
        if found is None:
            raise ValueError(f"not a date or a time: {text[:40]!r}")
        if found.year not in YEARS:
            raise ValueError(f"not a year from 1971 to 2199: {found.year}")
        if found.tzinfo is not None:
            return _utc_ms(found)
        if len(text) == DATE_CHARS and is_end:
            found += ONE_DAY
        return self.moment(found)

    def days(self, within: Span) -> list[date]:
        """Return the days that a span touches, the earliest first."""
        if within.length_ms <= 0:
            return []
        first = self.date_of(within.start_ms)
        last = self.date_of(within.end_ms - 1)
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]

    def _around(self, ms: int) -> list[ShiftSpan]:
        """Return the shifts that start from three days before a moment to its day."""
        day = self.date_of(ms)
        return [
            each
            for before in range(4)
            for each in self.shift_spans(day - timedelta(days=before))
        ]

    def _shift_span(self, shift: ShiftHours, day: date) -> ShiftSpan:
        start, end = minute_of_day(shift.start), minute_of_day(shift.end)
        if end <= start:
            end += MINUTES_PER_DAY
        span = Span(self._at(day, start), self._at(day, end))
        return ShiftSpan(shift.name, day, span)

    def _at(self, day: date, minutes: int) -> int:
        days, minute = divmod(minutes, MINUTES_PER_DAY)
        at = time(minute // 60, minute % 60)
        return self.moment(datetime.combine(day + timedelta(days=days), at))


def minute_of_day(text: str) -> int:
    """Return a time of day ``HH:MM`` in minutes since midnight, at most 1440.

    Raises:
        ValueError: It is no time of day.
    """
    if not TIME_OF_DAY.fullmatch(text):
        raise ValueError(f"not a time of day from 00:00 to 24:00: {text[:20]!r}")
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def faults_of(zone: str, shifts: Sequence[ShiftTimes]) -> list[str]:
    """Return what is wrong with a zone and shifts, a sentence each.

    >>> faults_of("Mars/Olympus", [DAY])
    ["'Mars/Olympus' is not a time zone."]
    """
    faults = [] if is_zone(zone) else [f"{zone[:60]!r} is not a time zone."]
    if len(shifts) > SHIFTS_MAX:
        faults.append(f"There are {len(shifts)} shifts; the most is {SHIFTS_MAX}.")
    names = [each.name for each in shifts]
    faults += [
        f"Two shifts have the name {name[:60]!r}."
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    spans = []
    for each in shifts:
        try:
            start, end = minute_of_day(each.start), minute_of_day(each.end)
        except ValueError as exc:
            faults.append(f"Shift {each.name[:60]!r}: {exc}.")
            continue
        if start == MINUTES_PER_DAY:
            faults.append(f"Shift {each.name[:60]!r} starts at 24:00; write 00:00.")
        spans.append((start, end if end > start else end + MINUTES_PER_DAY, each.name))
    return faults + _overlaps(sorted(spans))


@cache
def zones() -> frozenset[str]:
    """Return the names of all time zones, as the IANA gives them."""
    return frozenset(zoneinfo.available_timezones())


def is_zone(name: str) -> bool:
    """Return whether there is a time zone of this name."""
    return name in zones()


def _checked(span: Span) -> Span:
    if span.length_ms <= 0:
        raise ValueError("the span ends before it starts")
    if span.length_ms > (SPAN_MAX_DAYS + 1) * MINUTES_PER_DAY * MS_PER_MINUTE:
        raise ValueError(f"the span has more than {SPAN_MAX_DAYS} days")
    return span


def _overlaps(spans: list[tuple[int, int, str]]) -> list[str]:
    """Return the overlaps of shifts, also of the last one with the next day's first."""
    if not spans:
        return []
    start, end, name = spans[0]
    following = [*spans[1:], (start + MINUTES_PER_DAY, end + MINUTES_PER_DAY, name)]
    return [
        f"The shifts {before[2][:60]!r} and {after[2][:60]!r} overlap."
        for before, after in zip(spans, following, strict=True)
        if after[0] < before[1]
    ]


def _utc_ms(zoned: datetime) -> int:
    # Not timestamp(): a float of seconds is a millisecond off now and then.
    since = zoned.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(milliseconds=1)


DAY = ShiftHours("day", "00:00", "24:00")
"""The one shift of a plant that has defined none."""
UTC_TIME = PlantTime("UTC", [])
"""The calendar of a plant that has defined nothing."""
