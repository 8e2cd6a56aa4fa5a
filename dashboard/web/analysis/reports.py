"""The figures of one shift."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, select

from dashboard.history.analysis import Selection
from dashboard.history.model_spans import ModelSpan, changes_in, in_force, model_spans
from dashboard.history.notes import HandoverNote, note_of
from dashboard.history.state_log import SILENT, changes_of
from dashboard.history.tables.received import cameras, stations
from dashboard.history.timeline import (
    UNKNOWN,
    Segment,
    availability,
    downtimes,
    segments,
    under_station,
)
from dashboard.plant_time import PlantTime, ShiftSpan, Span
from dashboard.statistics.run_rules import Rule
from dashboard.web.analysis.figures import (
    Ranking,
    Totals,
    Trend,
    rankings_of,
    totals_of,
    trend_of,
)
from dashboard.web.analysis.groups import Step, groups_of

DOWNTIMES_MAX = 40  # listed; a flapping camera must not fill ten pages
TOP = 5
CAUSES_MAX = 3


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """How a camera did in a span.

    Attributes:
        where: Site, line, station and camera.
        availability: Share of the known time in which frames were inspected; None:
            nothing is known.
        degraded_ms: How long it was degraded.
        down_ms: How long no frame was inspected.
        unknown_ms: How long nothing is known, or no message came.
        causes: Reasons of degraded times and downtimes, the longest first.
        downtimes: The oldest first.
    """

    where: tuple[str, str, str, str]
    availability: float | None
    degraded_ms: int
    down_ms: int
    unknown_ms: int
    causes: tuple[str, ...]
    downtimes: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class ShiftFigures:
    """The figures of one shift.

    Attributes:
        passed: The part of the shift that is over by now.
        models: In force at its start or later.
        changes: Models that came into force during the shift.
        ranking: Defects by class.
    """

    shift: ShiftSpan
    passed: Span
    line: str
    totals: Totals
    trend: Trend
    ranking: Ranking
    health: tuple[CameraHealth, ...]
    models: tuple[ModelSpan, ...]
    changes: tuple[ModelSpan, ...]
    note: HandoverNote | None


def shift_figures(
    connection: Connection,
    plant: PlantTime,
    shift: ShiftSpan,
    line: str,
    now_ms: int,
) -> ShiftFigures:
    """Return the figures of a shift.

    Args:
        line: Empty: all lines.
        now_ms: Wall clock, UTC.
    """
    wanted = Selection((shift.span,), lines=(line,) if line else ())
    passed = Span(
        shift.span.start_ms,
        max(min(shift.span.end_ms, now_ms), shift.span.start_ms),
    )
    models = model_spans(connection, wanted)
    groups = groups_of(wanted.spans, plant, Step.MINUTES_15, now_ms)
    trend = trend_of(connection, wanted, groups, (Rule.ONE_BEYOND_3,), models)
    return ShiftFigures(
        shift=shift,
        passed=passed,
        line=line,
        totals=totals_of(connection, wanted),
        trend=trend,
        ranking=rankings_of(connection, wanted, plant)["class"],
        health=tuple(_health(connection, wanted, passed)),
        models=tuple(in_force(models, passed)),
        changes=tuple(changes_in(models, shift.span)),
        note=note_of(connection, shift.date, shift.name, line),
    )


def find_shift(plant: PlantTime, day: date, name: str) -> ShiftSpan | None:
    """Return a shift of a day; None: the plant has no shift of this name."""
    return next((s for s in plant.shift_spans(day) if s.name == name), None)


def neighbours(plant: PlantTime, shift: ShiftSpan) -> tuple[ShiftSpan, ShiftSpan]:
    """Return the shift before a shift, and the one after it."""
    before = plant.last_shift_before(shift.span.start_ms)
    return before, plant.first_shift_after(shift.span.end_ms)


def _health(
    connection: Connection, wanted: Selection, passed: Span
) -> list[CameraHealth]:
    if passed.length_ms <= 0:
        return []
    known = connection.execute(
        select(cameras.c.site, cameras.c.line, cameras.c.station, cameras.c.camera)
    ).all()
    found: list[CameraHealth] = []
    for row in connection.execute(
        select(
            stations.c.site, stations.c.line, stations.c.station, stations.c.heard_ms
        )
    ).all():
        station = (row.site, row.line, row.station)
        if not wanted.holds_place(*station):
            continue
        names = [each.camera for each in known if tuple(each[:3]) == station]
        found += _of_station(connection, station, names, passed, row.heard_ms)
    return sorted(found, key=lambda each: each.where)


def _of_station(
    connection: Connection,
    station: tuple[str, str, str],
    names: Sequence[str],
    passed: Span,
    heard_ms: int,
) -> list[CameraHealth]:
    start_ms, end_ms = passed.start_ms, passed.end_ms
    changes = changes_of(connection, station, start_ms, end_ms)
    own = segments(changes.get("", []), start_ms, end_ms, heard_ms or None)
    return [
        _camera_health(
            (*station, camera),
            under_station(segments(changes.get(camera, []), start_ms, end_ms), own),
        )
        for camera in names
    ]


def _camera_health(
    where: tuple[str, str, str, str], states: Sequence[Segment]
) -> CameraHealth:
    down = downtimes(states)
    degraded = [each for each in states if each.state == "degraded"]
    causes: dict[str, int] = {}
    for each in (*down, *degraded):
        if each.reason:
            causes[each.reason] = causes.get(each.reason, 0) + each.length_ms
    longest = sorted(causes, key=lambda reason: (-causes[reason], reason))
    return CameraHealth(
        where,
        availability(states),
        sum(each.length_ms for each in degraded),
        sum(each.length_ms for each in down if each.state != SILENT),
        sum(each.length_ms for each in states if each.state in {UNKNOWN, SILENT}),
        tuple(longest[:CAUSES_MAX]),
        tuple(down),
    )
