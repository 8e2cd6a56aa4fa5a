"""Which build of a model was in force at which station, and when.

Verdicts of parts carry no build: the parts of a build are those that its station
inspected while it was in force.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import Connection, select

from dashboard.history.analysis import Selection
from dashboard.history.tables.operations import model_changes
from dashboard.plant_time import Span

CHANGES_MAX = 2000  # the newest: a year of 20 stations with two changes a week
FOREVER_MS = 2**62

StationPlace = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class ModelSpan:
    """A build in force at a station.

    Attributes:
        station: Site, line and station.
        span: From the change to the next one of the station.
    """

    station: StationPlace
    name: str
    build: int
    variant: str
    span: Span


def model_spans(connection: Connection, wanted: Selection) -> list[ModelSpan]:
    """Return the builds of all selected stations, up to the end of a selection.

    Returns:
        In the order of time, also those before the start of the selection.
    """
    if not wanted.spans:
        return []
    c = model_changes.c
    rows = connection.execute(
        select(model_changes)
        .where(c.at_ms < wanted.span.end_ms)
        .order_by(c.at_ms.desc(), c.n.desc())
        .limit(CHANGES_MAX)
    ).all()
    found: list[ModelSpan] = []
    end_ms: defaultdict[StationPlace, int] = defaultdict(lambda: FOREVER_MS)
    for row in rows:
        station = (row.site, row.line, row.station)
        if not wanted.holds_place(*station):
            continue
        span = Span(row.at_ms, end_ms[station])
        found.append(ModelSpan(station, row.name, row.build, row.variant, span))
        end_ms[station] = row.at_ms
    return found[::-1]


def changes_in(found: Sequence[ModelSpan], span: Span) -> list[ModelSpan]:
    """Return the models that came into force within a span."""
    return [each for each in found if span.start_ms <= each.span.start_ms < span.end_ms]


def in_force(found: Sequence[ModelSpan], span: Span) -> list[ModelSpan]:
    """Return the models that were in force at any time of a span."""
    return [
        each
        for each in found
        if each.span.start_ms < span.end_ms and each.span.end_ms > span.start_ms
    ]


def spans_of_build(
    found: Sequence[ModelSpan], build: int, wanted: Selection
) -> dict[StationPlace, list[Span]]:
    """Return when a build was in force at each station, within a selection."""
    spans: defaultdict[StationPlace, list[Span]] = defaultdict(list)
    for each in found:
        if each.build != build:
            continue
        for part in wanted.spans:
            start_ms = max(part.start_ms, each.span.start_ms)
            end_ms = min(part.end_ms, each.span.end_ms)
            if start_ms < end_ms:
                spans[each.station].append(Span(start_ms, end_ms))
    return dict(spans)


def by_time(
    spans: Mapping[StationPlace, Sequence[Span]],
) -> dict[Span, set[StationPlace]]:
    """Return the stations of each span of time in which these are the same.

    Args:
        spans: Those of each station, without overlaps.

    Returns:
        In the order of time; together they cover what is in a span of any station.
    """
    edges = {
        edge
        for each in spans.values()
        for span in each
        for edge in (span.start_ms, span.end_ms)
    }
    found: dict[Span, set[StationPlace]] = {}
    for start_ms, end_ms in pairwise(sorted(edges)):
        stations = {
            station
            for station, each in spans.items()
            if any(s.start_ms <= start_ms and s.end_ms >= end_ms for s in each)
        }
        if stations:
            found[Span(start_ms, end_ms)] = stations
    return found
