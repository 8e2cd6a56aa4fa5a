"""The report of a shift as texts and shapes for its template."""

from urllib.parse import urlencode

from dashboard.messages import iso_utc
from dashboard.plant_time import Span
from dashboard.statistics.rates import Rate, wilson
from dashboard.web.analysis.reports import (
    DOWNTIMES_MAX,
    TOP,
    CameraHealth,
    ShiftFigures,
)
from dashboard.web.analysis.view import ShownValues, View


def report_values(figures: ShiftFigures, view: View, now_ms: int) -> ShownValues:
    """Return what the template shows.

    Args:
        now_ms: Wall clock, UTC.
    """
    wording, shift = view.wording, figures.shift
    down = [
        (each.where, segment) for each in figures.health for segment in each.downtimes
    ]
    down.sort(key=lambda item: (item[1].from_ms, item[0]))
    note = figures.note
    return {
        "shift_name": view.shift_name(shift.name),
        "shift": shift.name,
        "date": shift.date.isoformat(),
        "day": wording.day(shift.date),
        "span": wording.span(shift.span),
        "plant_zone": view.settings.zone,
        "line": figures.line,
        "made": wording.moment(now_ms),
        "is_over": shift.span.end_ms <= now_ms,
        "totals": view.totals(figures.totals),
        "counts": _counts(figures, view),
        "trend": view.trend(figures.trend),
        "top": view.ranking(figures.ranking, "class", _list_query(figures), TOP),
        "health": [_health(each, figures.passed, view) for each in figures.health],
        "downtimes": [
            {
                "from": wording.time(segment.from_ms),
                "to": wording.time(segment.to_ms),
                "length": wording.length(segment.length_ms),
                "camera": view.place(where),
                "state": wording.text(f"analysis.state_{segment.state}"),
                "reason": segment.reason,
            }
            for where, segment in down[:DOWNTIMES_MAX]
        ],
        "downtimes_left": max(0, len(down) - DOWNTIMES_MAX),
        "models": [
            {
                **view.mark(each),
                "is_new": each in figures.changes,
            }
            for each in figures.models
        ],
        "note": note.text if note else "",
        "note_by": _note_by(figures, view),
    }


def _counts(figures: ShiftFigures, view: View) -> list[ShownValues]:
    """Return the counts of parts as rows: what, number, share and interval."""
    count, parts = view.wording.count, figures.totals.parts
    everything = parts.inspected + parts.not_inspected
    rows = (
        ("ok", parts.ok, parts.inspected),
        ("defective", parts.defect, parts.inspected),
        ("not_inspected", parts.not_inspected, everything),
    )
    return [
        {
            "what": view.wording.text(f"analysis.parts_{name}"),
            "count": count(number),
            "n": count(n),
            "share": view.wording.rate(Rate(number, n)),
            "interval": view.wording.interval(wilson(Rate(number, n))),
        }
        for name, number, n in rows
    ]


def _health(health: CameraHealth, passed: Span, view: View) -> ShownValues:
    length = view.wording.length
    is_known = health.availability is not None
    kind = "ok"
    if not is_known:
        kind = "gone"
    elif health.down_ms:
        kind = "bad"
    elif health.degraded_ms:
        kind = "warn"
    return {
        "camera": view.place(health.where),
        "kind": kind,
        "availability": view.wording.percent(health.availability)
        if is_known
        else view.wording.text("analysis.unknown"),
        "degraded": length(health.degraded_ms) if health.degraded_ms else "",
        "down": length(health.down_ms) if health.down_ms else "",
        "unknown": length(health.unknown_ms)
        if passed.length_ms and health.unknown_ms
        else "",
        "causes": list(health.causes),
    }


def _list_query(figures: ShiftFigures) -> str:
    span = figures.shift.span
    pairs = [("from", iso_utc(span.start_ms)), ("to", iso_utc(span.end_ms))]
    return urlencode([*pairs, *([("line", figures.line)] if figures.line else [])])


def _note_by(figures: ShiftFigures, view: View) -> str:
    note = figures.note
    if note is None:
        return ""
    at = view.wording.moment(note.at_ms)
    return view.wording.text("analysis.note_by", author=note.author, at=at)
