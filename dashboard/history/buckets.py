"""How charts divide time, and which hours of it they read as a whole. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dashboard.plant_time import MS_PER_HOUR, MS_PER_MINUTE, Span


@dataclass(frozen=True, slots=True)
class Buckets:
    """How time is divided into buckets.

    Attributes:
        ms: Width of a bucket, in whole minutes; a bucket is the time divided by it,
            rounded down.
        edges: Moments between two buckets, ascending. Everything from one edge to the
            next one counts in the first bucket after that edge. None: every bucket
            counts by itself.
    """

    ms: int
    edges: Sequence[int] | None = None

    def counted_in(self, bucket: int) -> int:
        """Return the bucket that a bucket counts in."""
        if not self.edges:
            return bucket
        before = bisect_right(self.edges, bucket * self.ms)
        return self.edges[max(before - 1, 0)] // self.ms - (before == 0)


ONE_MINUTE = Buckets(MS_PER_MINUTE)
ANY_BUCKETS = Buckets(MS_PER_HOUR)


def whole_hours(
    spans: Sequence[Span], buckets: Buckets
) -> tuple[list[Span], list[Span]]:
    """Return the whole hours of some spans, and what is left of the spans.

    An hour that an edge divides is not whole. Without edges, none is whole where a
    bucket is no whole number of hours.
    """
    if buckets.edges is None and buckets.ms % MS_PER_HOUR:
        return [], list(spans)
    edges = buckets.edges or ()
    divided = sorted({_hour_of(each) for each in edges if each % MS_PER_HOUR})
    whole: list[Span] = []
    rest: list[Span] = []
    for span in spans:
        first, last = -_hour_of(-span.start_ms), _hour_of(span.end_ms)
        if first >= last:
            rest.append(span)
            continue
        inside = divided[bisect_left(divided, first) : bisect_left(divided, last)]
        apart = [
            Span(span.start_ms, first),
            *(Span(each, each + MS_PER_HOUR) for each in inside),
            Span(last, span.end_ms),
        ]
        rest += [each for each in apart if each.length_ms]
        whole += [
            Span(before.end_ms, after.start_ms)
            for before, after in pairwise(apart)
            if before.end_ms < after.start_ms
        ]
    return whole, rest


def _hour_of(at_ms: int) -> int:
    return at_ms // MS_PER_HOUR * MS_PER_HOUR
