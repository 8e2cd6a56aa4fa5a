"""The pages of charts, the report of a shift, and their downloads."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.access.roles import Role
from dashboard.history.alert_choices import choices_of
from dashboard.history.model_spans import in_force, model_spans
from dashboard.history.settings import read_settings
from dashboard.plant_time import SPAN_WORDS, YEARS, ShiftSpan
from dashboard.statistics.run_rules import Rule
from dashboard.status import now_ms
from dashboard.web.analysis.changes import Changes
from dashboard.web.analysis.downloads import (
    DEFECT_COLUMNS,
    RANKING_COLUMNS,
    TREND_COLUMNS,
    defect_lines,
    pictures_zip,
    ranking_rows,
    trend_rows,
)
from dashboard.web.analysis.figures import (
    Trend,
    comparison_of,
    drift_of,
    heat_maps_of,
    rankings_of,
    totals_of,
    trend_of,
)
from dashboard.web.analysis.groups import Step, groups_of
from dashboard.web.analysis.report_view import report_values
from dashboard.web.analysis.reports import find_shift, neighbours, shift_figures
from dashboard.web.analysis.urls import ChartUrl, read_chart_url
from dashboard.web.analysis.view import View
from dashboard.web.chunk_stream import ChunkStream
from dashboard.web.csv_export import csv_chunks
from dashboard.web.language import language_of
from dashboard.web.permissions import needs, user_of
from dashboard.web.site import Site


@dataclass(frozen=True, slots=True)
class _Reading:
    """One request: what it asks for, and one state of the history."""

    connection: Connection
    view: View
    url: ChartUrl
    now_ms: int


class Analysis:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @needs(Role.VIEWER)
    def page(self, request: Request) -> Response:
        """``GET /analysis``: charts of any span of time, for any filter.

        The query has the names of the list of alerts; ``step``, ``rules`` and
        ``compare`` say how to draw.
        """
        with self._reading(request) as reading:
            values = _head_values(reading)

        def figures() -> dict[str, Any]:
            with self._site.database.read() as connection:
                return _figure_values(replace(reading, connection=connection))

        return self._site.renderer.page_in_parts(
            request,
            "analysis/page.html",
            figures,
            areas=("analysis",),
            may_write=_may_write(request),
            **values,
        )

    @needs(Role.VIEWER)
    def report(self, request: Request) -> Response:
        """``GET /analysis/report?date=&shift=&line=``: one shift, for print.

        Without date and shift: the shift that runs now, or the one that ended last.
        """
        with self._reading(request) as reading:
            shift = _asked_shift(request, reading)
            line = next(iter(reading.url.wanted.lines), "")
            plant = reading.view.plant
            figures = shift_figures(
                reading.connection, plant, shift, line, reading.now_ms
            )
            before, after = neighbours(plant, shift)
            values = report_values(figures, reading.view, reading.now_ms)
            lines = choices_of(reading.connection).lines
        return self._site.renderer.page(
            request,
            "analysis/report.html",
            areas=("analysis",),
            may_write=_may_write(request),
            lines_known=lines,
            before=report_query(before, line),
            after=None if after.span.start_ms > now_ms() else report_query(after, line),
            **values,
        )

    @needs(Role.VIEWER)
    def trend(self, request: Request) -> Response:
        """``GET /analysis/trend.csv``: the numbers of the control charts."""
        with self._reading(request) as reading:
            rows = list(trend_rows(_trend(reading), reading.view.plant))
        return _download("trend.csv", csv_chunks(TREND_COLUMNS, rows))

    @needs(Role.VIEWER)
    def pareto(self, request: Request) -> Response:
        """``GET /analysis/pareto.csv``: defects by class, shift, line and camera."""
        with self._reading(request) as reading:
            plant, wanted = reading.view.plant, reading.url.wanted
            found = rankings_of(reading.connection, wanted, plant)
        return _download("pareto.csv", csv_chunks(RANKING_COLUMNS, ranking_rows(found)))

    @needs(Role.VIEWER)
    def defects(self, request: Request) -> Response:
        """``GET /analysis/defects.csv``: every defect with score, box and verdict."""
        with self._reading(request) as reading:
            wanted, plant = reading.url.wanted, reading.view.plant
        rows = defect_lines(self._site.database, wanted, plant)
        return _download("defects.csv", csv_chunks(DEFECT_COLUMNS, rows))

    @needs(Role.VIEWER)
    def pictures(self, request: Request) -> Response:
        """``GET /analysis/pictures.zip``: the newest pictures, at most 1000."""
        with self._reading(request) as reading:
            wanted = reading.url.wanted
        chunks = pictures_zip(self._site.database, wanted)
        return _download("pictures.zip", chunks, "application/zip")

    @contextmanager
    def _reading(self, request: Request) -> Iterator[_Reading]:
        at_ms = now_ms()
        with self._site.database.read() as connection:
            settings = read_settings(connection)
            language = language_of(request, lambda: settings.language)
            view = View(language, settings)
            url = read_chart_url(request.query_params, view.plant, at_ms)
            yield _Reading(connection, view, url, at_ms)


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    analysis, changes = Analysis(site), Changes(site)
    return [
        Route("/analysis", analysis.page),
        Route("/analysis/report", analysis.report),
        Route("/analysis/trend.csv", analysis.trend),
        Route("/analysis/pareto.csv", analysis.pareto),
        Route("/analysis/defects.csv", analysis.defects),
        Route("/analysis/pictures.zip", analysis.pictures),
        Route("/api/analysis/notes", changes.note, methods=["POST"]),
        Route("/api/analysis/rechecks", changes.recheck, methods=["POST"]),
    ]


def report_query(shift: ShiftSpan, line: str) -> str:
    """Return the query of the report of a shift."""
    pairs = [("date", shift.date.isoformat()), ("shift", shift.name)]
    return urlencode([*pairs, *([("line", line)] if line else [])])


def _head_values(reading: _Reading) -> dict[str, Any]:
    """Return what is asked for, and what may be asked for."""
    view, url = reading.view, reading.url
    return {
        "url": url,
        "span": view.wording.span(url.wanted.span),
        "plant_zone": view.settings.zone,
        "choices": choices_of(reading.connection),
        "shift_names": [shift.name for shift in view.plant.shifts],
        "span_words": SPAN_WORDS,
        "steps": tuple(Step),
        "rules": tuple(Rule),
        "names": view.settings,
    }


def _figure_values(reading: _Reading) -> dict[str, Any]:
    """Return the figures: over a long span they take longer than the rest."""
    connection, view, url = reading.connection, reading.view, reading.url
    wanted = url.wanted
    models = model_spans(connection, wanted)
    rankings = rankings_of(connection, wanted, view.plant)
    comparison = comparison_of(connection, wanted, models, url.compared)
    return {
        "totals": view.totals(totals_of(connection, wanted)),
        "trend": view.trend(_trend(reading)),
        "rankings": {
            kind: view.ranking(ranking, kind, url.list_query)
            for kind, ranking in rankings.items()
        },
        "heat_maps": [view.heat_map(each) for each in heat_maps_of(connection, wanted)],
        "scores": view.scores(drift_of(connection, wanted)),
        "comparison": view.comparison(comparison),
        "compared": comparison.builds if comparison else (),
        "builds": sorted({each.build for each in in_force(models, wanted.span)}),
    }


def _trend(reading: _Reading) -> Trend:
    connection, url = reading.connection, reading.url
    plant = reading.view.plant
    groups = groups_of(url.wanted.spans, plant, url.step, reading.now_ms)
    models = model_spans(connection, url.wanted)
    return trend_of(connection, url.wanted, groups, url.rules, models)


def _asked_shift(request: Request, reading: _Reading) -> ShiftSpan:
    asked, plant = request.query_params, reading.view.plant
    if not asked.get("date") and not asked.get("shift"):
        now = plant.shift_of(reading.now_ms)
        return now or plant.last_shift_before(reading.now_ms)
    try:
        day = date.fromisoformat(asked.get("date", ""))
    except ValueError as exc:
        raise HTTPException(400, "date must be a day such as 2026-11-30") from exc
    if day.year not in YEARS:
        raise HTTPException(400, f"date must be from {YEARS[0]} to {YEARS[-1]}")
    found = find_shift(plant, day, asked.get("shift", plant.shifts[0].name))
    if found is None:
        raise HTTPException(404, "no such shift")
    return found


def _may_write(request: Request) -> bool:
    user = user_of(request)
    return user is not None and user.role >= Role.OPERATOR


def _download(
    name: str, chunks: Iterator[bytes], media_type: str = "text/csv"
) -> Response:
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
    }
    return ChunkStream(chunks, media_type, headers)
