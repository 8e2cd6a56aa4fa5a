"""The page of learning: judged and uncertain alerts, and their export for training.

``/learning?kind=false-alarm&kind=uncertain&span=7d&label=dent&new=1``; the export
``/learning/export.zip?format=coco`` takes the same query.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.access import audit
from dashboard.access.roles import Role
from dashboard.history.learning import (
    JUDGED,
    KINDS,
    LearningAlert,
    LearningFilter,
    known_ids,
    learning_alerts,
    learning_counts,
    leave_out,
)
from dashboard.history.settings import read_settings
from dashboard.messages import EVENT_ID, INTEGER_MAX, TEXT_MAX_CHARS
from dashboard.plant_time import PlantTime
from dashboard.status import now_ms
from dashboard.web.api import as_json, query_number
from dashboard.web.chunk_stream import ChunkStream
from dashboard.web.language import language_of
from dashboard.web.learning.export import (
    PHOTOS_MAX,
    ExportFormat,
    ExportsRunningError,
    export_chunks,
)
from dashboard.web.lines.wording import Wording
from dashboard.web.permissions import needs, user_of
from dashboard.web.site import Site, read_body
from models.topics import NAME_PATTERN

MS_PER_DAY = 24 * 3600 * 1000
SPANS = {"24h": 1, "7d": 7, "30d": 30, "365d": 365}
USUAL_SPAN = "7d"
PAGE_ALERTS = 60
IDS_MAX = 200
PLACE_LEVELS = 4

EventId = Annotated[str, Field(pattern=f"^{EVENT_ID.pattern}$")]


class LeaveOutRequest(BaseModel):
    """``POST /api/learning/left-out``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: list[EventId] = Field(min_length=1, max_length=IDS_MAX)
    left_out: bool


class Learning:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @needs(Role.VIEWER)
    def page(self, request: Request) -> Response:
        """``GET /learning``: the queue."""
        wanted, values = self._filter(request)
        before = _cursor(request)
        with self._site.database.read() as connection:
            settings = read_settings(connection)
        plant = PlantTime(settings.zone, settings.shifts)
        user = user_of(request)
        query = urlencode(values)

        def queue() -> dict[str, Any]:
            with self._site.database.read() as connection:
                counts = learning_counts(connection, replace(wanted, kinds=KINDS))
                found = learning_alerts(connection, wanted, PAGE_ALERTS + 1, before)
            shown = found[:PAGE_ALERTS]
            older = f"{query}&before={shown[-1].n}" if len(found) > len(shown) else ""
            return {"counts": counts, "alerts": shown, "older": older}

        return self._site.renderer.page_in_parts(
            request,
            "learning/queue.html",
            queue,
            areas=("learning",),
            chosen=values,
            kinds=KINDS,
            wanted=wanted,
            spans=tuple(SPANS),
            span=request.query_params.get("span", USUAL_SPAN),
            query_string=query,
            formats=[each.value for each in ExportFormat],
            photos_max=PHOTOS_MAX,
            words=Wording(language_of(request), plant, now_ms()),
            settings=settings,
            may_operate=user is not None and user.role >= Role.OPERATOR,
            may_export=user is not None and user.role >= Role.ENGINEER,
        )

    @needs(Role.VIEWER)
    def list_json(self, request: Request) -> Response:
        """``GET /api/learning``: the queue as JSON; the query is that of the page."""
        wanted, _ = self._filter(request)
        before = _cursor(request)
        with self._site.database.read() as connection:
            counts = learning_counts(connection, replace(wanted, kinds=KINDS))
            found = learning_alerts(connection, wanted, PAGE_ALERTS, before)
        return as_json({"counts": counts, "alerts": [*map(_as_json, found)]})

    @needs(Role.OPERATOR)
    async def leave_out(self, request: Request) -> Response:
        """``POST /api/learning/left-out``: leave alerts out of exports, or not."""
        body = await read_body(request, LeaveOutRequest)
        user = user_of(request)
        name = user.name if user else ""

        def write() -> int:
            with self._site.database.write() as connection:
                ids = sorted(known_ids(connection, body.ids))
                leave_out(connection, ids, name if body.left_out else None)
                action = "learning.leave-out" if body.left_out else "learning.take-in"
                if ids:
                    audit.append(connection, name, action, ids[0], {"ids": ids})
                return len(ids)

        return as_json({"changed": await run_in_threadpool(write)})

    @needs(Role.ENGINEER)
    def export(self, request: Request) -> Response:
        """``GET /learning/export.zip?format=coco``: pictures, labels and provenance.

        The formats are ``coco``, ``cvat`` and ``label-studio``.
        """
        wanted, _ = self._filter(request)
        try:
            kind = ExportFormat(request.query_params.get("format", "coco"))
        except ValueError as exc:
            detail = f"format: one of {', '.join(ExportFormat)}"
            raise HTTPException(400, detail) from exc
        user = user_of(request)
        name = user.name if user else ""
        chunks = export_chunks(self._site.database, wanted, kind, name)
        try:
            first = next(chunks, b"")  # its faults are an answer, not a torn file
        except ExportsRunningError as exc:
            raise HTTPException(503, "two exports run already; try later") from exc
        file = f"graftline-{kind.value}-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip"
        headers = {
            "content-disposition": f'attachment; filename="{file}"',
            "cache-control": "private, no-store",
        }
        return ChunkStream(chunks, "application/zip", headers, first=first)

    def _filter(self, request: Request) -> tuple[LearningFilter, list[tuple[str, str]]]:
        """Return the filter of a URL, and the query that it is made of.

        Raises:
            HTTPException: 400 = a value is not valid.
        """
        query = request.query_params
        kinds = [each for each in query.getlist("kind") if each]
        if set(kinds) - set(KINDS):
            raise HTTPException(400, f"kind: one of {', '.join(KINDS)}")
        span = query.get("span", USUAL_SPAN)
        if span not in SPANS:
            raise HTTPException(400, f"span: one of {', '.join(SPANS)}")
        place = tuple(each for each in query.get("place", "").split("/") if each)
        if len(place) > PLACE_LEVELS or not all(map(_is_name, place)):
            raise HTTPException(400, "place: site/line/station/camera, or its start")
        label = query.get("label", "").replace("\0", "")[:TEXT_MAX_CHARS]
        at_ms = now_ms()
        wanted = LearningFilter(
            kinds=tuple(kinds) or JUDGED,
            from_ms=at_ms - SPANS[span] * MS_PER_DAY,
            to_ms=at_ms + MS_PER_DAY,  # clocks of line PCs may be ahead
            place=place,
            label=label,
            is_new=query.get("new") == "1",
            with_left_out=query.get("left_out") == "1",
        )
        values = [("kind", each) for each in wanted.kinds]
        values += [("span", span), ("place", "/".join(place)), ("label", label)]
        values += [
            (name, "1") for name in ("new", "left_out") if query.get(name) == "1"
        ]
        return wanted, [(name, value) for name, value in values if value]


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    learning = Learning(site)
    return [
        Route("/learning", learning.page),
        Route("/learning/export.zip", learning.export),
        Route("/api/learning", learning.list_json),
        Route("/api/learning/left-out", learning.leave_out, methods=["POST"]),
    ]


def _cursor(request: Request) -> int | None:
    if not request.query_params.get("before"):
        return None
    return query_number(request, "before", 0, 0, INTEGER_MAX)


def _is_name(text: str) -> bool:
    return re.fullmatch(NAME_PATTERN.strip("^$"), text) is not None


def _as_json(alert: LearningAlert) -> dict[str, object]:
    data = alert.event.data
    return {
        "n": alert.n,
        "id": alert.id,
        "site": data.site,
        "line": data.line,
        "station": data.station,
        "camera": data.camera,
        "happened_ms": alert.happened_ms,
        "model": data.model.model_dump(mode="json"),
        "detections": [each.model_dump(mode="json") for each in data.detections],
        "verdict": alert.verdict,
        "verdict_label": alert.verdict_label,
        "judged_by": alert.judged_by,
        "judged_ms": alert.judged_ms,
        "left_out_by": alert.left_out_by,
        "exported_ms": alert.exported_ms,
    }
