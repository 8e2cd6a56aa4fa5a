"""Groups of parts by time: the points of a chart. Pure."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from dashboard.history.buckets import Buckets
from dashboard.plant_time import MS_PER_HOUR, MS_PER_MINUTE, PlantTime, Span

GROUPS_MAX = 200  # beyond that, a chart and its table are unreadable
ONE_DAY = timedelta(days=1)


class Step(StrEnum):
    """Length of a group; the value is its name in the URL."""

    MINUTES_15 = "15min"
    HOUR = "1h"
    HOURS_4 = "4h"
    SHIFT = "shift"
    DAY = "day"


LENGTHS_MS = {
    Step.MINUTES_15: 15 * MS_PER_MINUTE,
    Step.HOUR: MS_PER_HOUR,
    Step.HOURS_4: 4 * MS_PER_HOUR,
}


@dataclass(frozen=True, slots=True)
class TimeGroups:
    """The groups of a selection, and the buckets that queries count by.

    Attributes:
        spans: One for each group, in the order of time.
        bucket_ms: Every group starts at a whole number of these.
    """

    spans: tuple[Span, ...]
    bucket_ms: int

    @property
    def buckets(self) -> Buckets:
        """What queries count by."""
        edges = {edge for each in self.spans for edge in (each.start_ms, each.end_ms)}
        return Buckets(self.bucket_ms, sorted(edges))

    def index_of(self, bucket: int) -> int | None:
        """Return the group of a bucket; None where it is in none."""
        at_ms = bucket * self.bucket_ms
        index = bisect_right(self.spans, at_ms, key=lambda each: each.start_ms) - 1
        is_inside = index >= 0 and at_ms < self.spans[index].end_ms
        return index if is_inside else None


def groups_of(
    wanted: Sequence[Span], plant: PlantTime, step: Step, now_ms: int
) -> TimeGroups:
    """Return the groups that some spans touch, up to now.

    Groups begin at midnight by the clocks of the plant, or with a shift.
    """
    touched: dict[Span, None] = {}
    for span in wanted:
        for each in _aligned(span, plant, step):
            is_touched = each.start_ms < span.end_ms and each.end_ms > span.start_ms
            if is_touched and each.start_ms <= now_ms:
                touched[each] = None
    spans = tuple(sorted(touched, key=lambda each: each.start_ms))
    return TimeGroups(spans, bucket_of(spans))


def step_for(wanted: Sequence[Span], plant: PlantTime, now_ms: int) -> Step:
    """Return the shortest step that leaves a chart readable."""
    for step in Step:
        if len(groups_of(wanted, plant, step, now_ms).spans) <= GROUPS_MAX:
            return step
    return Step.DAY


def bucket_of(spans: Iterable[Span]) -> int:
    """Return the longest bucket that no start or end of a span divides."""
    edges = [edge for each in spans for edge in (each.start_ms, each.end_ms)]
    return max(math.gcd(*edges), MS_PER_MINUTE) if edges else MS_PER_HOUR


def _aligned(span: Span, plant: PlantTime, step: Step) -> list[Span]:
    days = plant.days(span)
    if not days:
        return []
    if step is Step.SHIFT:
        return [
            shift.span
            for day in (days[0] - ONE_DAY, *days)
            for shift in plant.shift_spans(day)
        ]
    found: list[Span] = []
    for day in days:
        whole = plant.day_span(day)
        if step is Step.DAY:
            found.append(whole)
            continue
        length = LENGTHS_MS[step]
        found += [
            Span(start, min(start + length, whole.end_ms))
            for start in range(whole.start_ms, whole.end_ms, length)
        ]
    return found
