"""The audit trail, for admins: a page with filters in its URL, and CSV."""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.access.roles import Role
from dashboard.history.audit_trail import (
    PAGE_ROWS,
    TrailEntry,
    TrailFilter,
    all_entries,
    find_entries,
    known_actions,
)
from dashboard.messages import INTEGER_MAX
from dashboard.plant_time import YEARS, Span
from dashboard.web.account.times import NOTHING, ShownTimes
from dashboard.web.api import as_json, query_number
from dashboard.web.chunk_stream import ChunkStream
from dashboard.web.csv_export import csv_chunks
from dashboard.web.permissions import needs
from dashboard.web.site import Site

TEXT_MAX_CHARS = 200
KEYS = ("user", "action", "subject", "from", "to")
OLD = ("before", "from")  # names of the value before a change
COLUMNS = ("n", "time", "user", "action", "subject", "details", "digest")


class TrailRoutes:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site, self._database = site, site.database

    @needs(Role.ADMIN)
    def page(self, request: Request) -> Response:
        """``GET /audit``: entries, newest first.

        ``?user=&action=&subject=&from=2026-01-31&to=2026-01-31&before=N``; days by the
        clocks of the plant, both included.
        """
        times = ShownTimes(self._database)
        found, actions = self._find(request, times)
        values = _values_of(request)
        older = urlencode({**values, "before": found[-1].n}) if found else ""
        return self._site.renderer.page(
            request,
            "account/trail.html",
            areas=("account",),
            entries=[(each, _readable(each.details)) for each in found],
            actions=actions,
            filters={key: values.get(key, "") for key in KEYS},
            filter_query=urlencode(values),
            older=older if len(found) == PAGE_ROWS else "",
            times=times,
        )

    @needs(Role.ADMIN)
    def read(self, request: Request) -> Response:
        """``GET /api/audit``: the same entries for programs; ``before=N`` goes on."""
        found, _ = self._find(request, ShownTimes(self._database))
        shown = [
            {
                "n": each.n,
                "at_ms": each.at_ms,
                "user": each.user,
                "action": each.action,
                "subject": each.subject,
                "details": json.loads(each.details),
                "digest": each.digest,
            }
            for each in found
        ]
        return as_json({"entries": shown, "more": len(found) == PAGE_ROWS})

    @needs(Role.ADMIN)
    def csv(self, request: Request) -> Response:
        """``GET /audit.csv``: all entries that fit the filters, oldest first."""
        times = ShownTimes(self._database)
        wanted = _filter_of(request, times)
        return ChunkStream(
            csv_chunks(COLUMNS, self._rows(wanted, times)),
            media_type="text/csv; charset=utf-8",
            headers={
                "content-disposition": 'attachment; filename="audit.csv"',
                "cache-control": "no-store",
            },
        )

    def _find(
        self, request: Request, times: ShownTimes
    ) -> tuple[list[TrailEntry], list[str]]:
        before = query_number(request, "before", 0, 0, INTEGER_MAX) or None
        wanted = _filter_of(request, times)
        with self._database.read() as connection:
            found = find_entries(connection, wanted, before)
            return found, known_actions(connection)

    def _rows(
        self, wanted: TrailFilter, times: ShownTimes
    ) -> Iterator[tuple[object, ...]]:
        for each in all_entries(self._database, wanted):
            at = times.iso(each.at_ms)
            texts = (each.user, each.action, each.subject, each.details)
            yield (each.n, at, *texts, each.digest)


def _values_of(request: Request) -> dict[str, str]:
    """Return the filters that are set, as they are in the URL.

    Raises:
        HTTPException: 400 = one has characters that no database takes.
    """
    found = {key: request.query_params.get(key, "")[:TEXT_MAX_CHARS] for key in KEYS}
    if not all(value.isprintable() for value in found.values()):
        raise HTTPException(400, "a filter has characters that cannot be seen")
    return {key: value for key, value in found.items() if value}


def _filter_of(request: Request, times: ShownTimes) -> TrailFilter:
    values = _values_of(request)
    first, last = (_day(key, values, times) for key in ("from", "to"))
    return TrailFilter(
        user=values.get("user", ""),
        action=values.get("action", ""),
        subject=values.get("subject", ""),
        from_ms=first.start_ms if first else None,
        to_ms=last.end_ms if last else None,
    )


def _day(key: str, values: Mapping[str, str], times: ShownTimes) -> Span | None:
    """Return the day that a filter names; None = it is not set."""
    if key not in values:
        return None
    try:
        day = date.fromisoformat(values[key])
    except ValueError as exc:
        raise HTTPException(400, f"{key} must be a day such as 2026-01-31") from exc
    if day.year not in YEARS:
        raise HTTPException(400, f"{key} must be from 1971 to 2199")
    return times.plant.day_span(day)


def _readable(details: str) -> list[tuple[str, str]]:
    """Return the details as names and texts, the old value before the new one."""
    parsed: dict[str, Any] = json.loads(details)
    ordered = sorted(parsed.items(), key=lambda item: item[0] not in OLD)
    return [(name, _text(value)) for name, value in ordered]


def _text(value: object) -> str:
    if value is None or value in ("", [], {}):
        return NOTHING
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(each)}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def trail_routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    handlers = TrailRoutes(site)
    return [
        Route("/audit", handlers.page),
        Route("/api/audit", handlers.read),
        Route("/audit.csv", handlers.csv),
    ]
