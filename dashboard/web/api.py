"""JSON for programs, and live events: read-only.

Ids and numbers in a URL are untrusted until checked.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from sse_starlette.sse import EventSourceResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.access.roles import Role
from dashboard.history.queries import PAGE_MAX_ROWS, ChosenPlaces, History
from dashboard.history.tables.base import CAMERA
from dashboard.messages import EVENT_ID, INTEGER_MAX
from dashboard.status import now_ms
from dashboard.web.broadcaster import EventBroadcaster
from dashboard.web.connections import client_of
from dashboard.web.event_stream import (
    ALERT,
    RESET,
    STATE,
    Hub,
    LiveEvent,
    Viewer,
    as_sse,
)
from dashboard.web.permissions import needs, user_of
from models.topics import NAME_MAX_CHARS

WEEK_MINUTES = 7 * 24 * 60
YEAR_MINUTES = 366 * 24 * 60
RATE_POINTS = 60
PLACES_MAX = 100  # of each kind
SSE_PING_S = 15
SSE_SEND_LIMIT_S = 20.0  # a page that does not read for so long is closed
SSE_RETRY_MS = 2000
WRITER_LIMIT_S = 30.0  # a writer that did not run for so long hangs


class Api:
    """The handlers of the routes."""

    def __init__(
        self, history: History, hub: Hub, broadcaster: EventBroadcaster
    ) -> None:
        self._history, self._hub, self._broadcaster = history, hub, broadcaster

    @needs(Role.VIEWER)
    def alerts(self, request: Request) -> Response:
        """``GET /api/alerts?limit=50&before=N`` or ``&after=N``: a page of alerts.

        ``more``: there are further ones in the same direction. ``&site=``, ``&line=``,
        ``&station=`` and ``&camera=``, each of which may be repeated, select places:
        the first page is then of the cameras that the pages show.
        """
        chosen = query_places(request)
        limit = query_number(request, "limit", 50, 1, PAGE_MAX_ROWS)
        before = query_number(request, "before", 0, 0, INTEGER_MAX) or None
        after = request.query_params.get("after")
        cursor = (
            None if after is None else query_number(request, "after", 0, 0, INTEGER_MAX)
        )
        read = partial(self._history.alerts, chosen=chosen)
        found = read(limit, before=before, after=cursor)
        more = bool(found) and bool(
            read(1, before=before, after=found[-1]["n"])
            if after is not None
            else read(1, before=found[-1]["n"])
        )
        newest = self._history.newest()
        return as_json({"alerts": found, "more": more, "newest": newest})

    @needs(Role.VIEWER)
    def alert(self, request: Request) -> Response:
        """``GET /api/alerts/{id}``: one alert."""
        found = self._history.alert(_event_id(request))
        if found is None:
            raise HTTPException(404, "no such alert")
        return as_json(found)

    @needs(Role.VIEWER)
    def image(self, request: Request) -> Response:
        """``GET /api/alerts/{id}/image``: its picture, JPEG."""
        picture = self._history.picture(_event_id(request))
        if picture is None:
            raise HTTPException(404, "no such picture")
        headers = {
            "etag": f'"{picture.sha256}"',
            "cache-control": "private, max-age=86400, immutable",
        }
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(picture.jpeg, media_type="image/jpeg", headers=headers)

    @needs(Role.VIEWER)
    def cameras(self, _request: Request) -> Response:
        """``GET /api/cameras``: stations and cameras, last states and counters."""
        return as_json(self._broadcaster.state())

    @needs(Role.VIEWER)
    def status(self, _request: Request) -> Response:
        """``GET /api/status``: the state of the collector, without cameras."""
        return as_json(self._broadcaster.brief_state())

    @needs(Role.VIEWER)
    def rate(self, request: Request) -> Response:
        """``GET /api/rate?minutes=60``: alerts per minute over time.

        ``&site=``, ``&line=``, ``&station=`` and ``&camera=`` select places.
        """
        minutes = query_number(request, "minutes", 60, 1, WEEK_MINUTES)
        buckets, chosen = min(minutes, RATE_POINTS), query_places(request)
        return as_json(self._history.rate(now_ms(), minutes, buckets, chosen))

    @needs(Role.VIEWER)
    def pareto(self, request: Request) -> Response:
        """``GET /api/pareto?minutes=480``: defects by class.

        ``&site=``, ``&line=``, ``&station=`` and ``&camera=`` select places.
        """
        minutes = query_number(request, "minutes", 480, 1, YEAR_MINUTES)
        return as_json(self._history.pareto(now_ms(), minutes, query_places(request)))

    @needs(Role.VIEWER)
    def summary(self, _request: Request) -> Response:
        """``GET /api/summary``: totals of the history, and the collector's status."""
        status = self._broadcaster.collector_status().as_json()
        at_ms = now_ms()
        return as_json({"now_ms": at_ms, **self._history.totals(at_ms), **status})

    def health(self, request: Request) -> Response:
        """``GET /healthz``: 200 while alerts can be kept; a broker may be away.

        Somebody unknown sees the status alone: the reasons name stations and broker.
        """
        collector = self._broadcaster.collector_status()
        self._history.newest()  # raises if the history cannot be read
        is_well = not collector.failure and collector.writer_age_s < WRITER_LIMIT_S
        is_notifying = not any(each.error for each in collector.notify)
        is_quiet = collector.broker.is_up and not collector.alarm and is_notifying
        is_watching = not collector.unjudged
        status = "ok" if is_well and is_quiet and is_watching else "degraded"
        details = collector.as_json() if user_of(request) else {}
        return as_json(
            {"status": status if is_well else "failing", **details},
            200 if is_well else 503,
        )

    @needs(Role.VIEWER)
    async def events(self, request: Request) -> Response:
        """``GET /api/events?after=N``: live; ``Last-Event-ID`` continues after N.

        ``&cameras=0``: the states are without stations and cameras.
        """
        viewer = self._hub.join(
            client_of(request.client.host) if request.client else "",
            is_brief=request.query_params.get("cameras") == "0",
        )
        if viewer is None:
            raise HTTPException(503, "too many open pages")
        cursor = request.headers.get("last-event-id") or request.query_params.get(
            "after", ""
        )
        # What is no cursor of this history starts at the newest alert.
        is_cursor = cursor.isascii() and cursor.isdigit() and len(cursor) <= 19
        after = int(cursor) if is_cursor else None
        return EventSourceResponse(
            self._stream(viewer, after),
            ping=SSE_PING_S,
            send_timeout=SSE_SEND_LIMIT_S,
        )

    async def _stream(
        self, viewer: Viewer, after: int | None
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the missed alerts, the state, and then the live events."""
        try:
            yield {"retry": SSE_RETRY_MS, "comment": "graftline"}
            newest = await asyncio.to_thread(self._history.newest)
            if after is None:
                after = newest
            missed = await asyncio.to_thread(self._missed, min(after, newest))
            has_missed_more = bool(missed) and missed[-1].n < newest
            if after > newest or has_missed_more:
                # The page shows another history, or has missed too many alerts: it
                # reloads.
                after = newest
                yield as_sse(LiveEvent(RESET, "{}"))
            else:
                for alert in missed:
                    after = alert.n
                    yield as_sse(alert)
            read_state = self._broadcaster.state
            if viewer.is_brief:
                read_state = self._broadcaster.brief_state
            state = await asyncio.to_thread(read_state)
            yield as_sse(LiveEvent(STATE, json.dumps(state)))
            while (event := await viewer.next_event()) is not None:
                if event.n and event.n <= after:
                    continue  # already sent with the missed alerts
                yield as_sse(event)
        finally:
            self._hub.leave(viewer)

    def _missed(self, after: int) -> list[LiveEvent]:
        """Return the alerts after a cursor as text, which a slow page holds."""
        alerts = self._history.alerts(PAGE_MAX_ROWS, after=after)
        return [LiveEvent(ALERT, json.dumps(alert), alert["n"]) for alert in alerts]


def routes(api: Api) -> list[BaseRoute]:
    """Return the routes."""
    return [
        Route("/healthz", api.health),
        Route("/api/alerts", api.alerts),
        Route("/api/alerts/{event_id}", api.alert),
        Route("/api/alerts/{event_id}/image", api.image),
        Route("/api/cameras", api.cameras),
        Route("/api/status", api.status),
        Route("/api/rate", api.rate),
        Route("/api/pareto", api.pareto),
        Route("/api/summary", api.summary),
        Route("/api/events", api.events),
    ]


def as_json(content: object, status_code: int = 200) -> Response:
    """Return a JSON response that is not cached."""
    return JSONResponse(content, status_code, headers={"cache-control": "no-store"})


def _event_id(request: Request) -> str:
    """Return the event id in the URL, if it is valid."""
    event_id = str(request.path_params["event_id"])
    if not EVENT_ID.fullmatch(event_id):
        raise HTTPException(404, "not an event id")
    return event_id


def query_places(request: Request) -> ChosenPlaces:
    """Return the places that a query selects; every place where it names none."""
    query = request.query_params
    names = {name: query.getlist(name) for name in CAMERA if name in query}
    for name, wanted in names.items():
        if len(wanted) > PLACES_MAX or any(
            len(each) > NAME_MAX_CHARS for each in wanted
        ):
            raise HTTPException(400, f"{name}: at most {PLACES_MAX} names")
    return ChosenPlaces(names)


def query_number(request: Request, name: str, default: int, low: int, high: int) -> int:
    """Return a whole number of the query, within its bounds."""
    text = request.query_params.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(high))
    if not is_number or not low <= int(text) <= high:
        raise HTTPException(400, f"{name} must be a whole number from {low} to {high}")
    return int(text)
