"""What operators do with alerts: reviews of one, of many, or of a whole filter."""

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dashboard.access import audit
from dashboard.access.roles import Role
from dashboard.history.alert_search import PAGE_MAX_ROWS, AlertSearch
from dashboard.history.reviews import (
    COMMENT_MAX_CHARS,
    LABEL_MAX_CHARS,
    OperatorVerdict,
    Review,
    ReviewKind,
    UnknownAlertError,
    add_review,
    reviews_of,
)
from dashboard.history.settings import read_settings
from dashboard.history.shelves import (
    REASON_MAX_CHARS,
    Shelf,
    ShelfRefusedError,
    end_shelf,
    put_on_shelf,
    shelves_in_force,
)
from dashboard.messages import EVENT_ID, INTEGER_MAX, TEXT_MAX_CHARS
from dashboard.status import now_ms
from dashboard.web.alerts.listing import Listing
from dashboard.web.alerts.pages import COUNT_MAX, event_id_of, number_of
from dashboard.web.alerts.urls import read_list_url
from dashboard.web.api import as_json
from dashboard.web.event_stream import REVIEW, LiveEvent
from dashboard.web.language import language_of
from dashboard.web.permissions import needs, user_of
from dashboard.web.site import Site, read_body
from models.counted import counted
from models.topics import NAME_PATTERN

IDS_MAX = 1000
IDS_IN_AUDIT = 100
MS_PER_MINUTE = 60_000
MINUTES_MAX = 31 * 24 * 60
PlaceName = Annotated[str, Field(pattern=rf"^$|{NAME_PATTERN}")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FilterChoice(_Body):
    """All alerts that pass a filter, as ``/api/alert-count`` has counted them.

    Attributes:
        query: The list that was counted.
        newest: Cursor of the count: later alerts are not meant.
        now_ms: Time of the count: where spans such as ``8h`` end.
        count: If another number passes now, nothing is changed.
    """

    query: str = Field(max_length=8192)
    newest: int = Field(ge=0, le=INTEGER_MAX)
    now_ms: int = Field(ge=0, le=INTEGER_MAX)
    count: int = Field(ge=1, le=COUNT_MAX)


class ReviewBody(_Body):
    """``POST /api/reviews``: ids, or a filter."""

    kind: ReviewKind
    verdict: OperatorVerdict | None = None
    label: str = Field(default="", max_length=LABEL_MAX_CHARS)
    text: str = Field(default="", max_length=COMMENT_MAX_CHARS)
    ids: list[str] = Field(default=[], max_length=IDS_MAX)
    filter: FilterChoice | None = None

    @property
    def review(self) -> Review:
        """The review to store."""
        label, text = _stored(self.label), _stored(self.text)
        return Review(self.kind, self.verdict, label, text)


class ShelfBody(_Body):
    """``POST /api/shelves``: an empty name = every one."""

    reason: str = Field(max_length=REASON_MAX_CHARS)
    minutes: int = Field(ge=1, le=MINUTES_MAX)
    site: PlaceName = ""
    line: PlaceName = ""
    station: PlaceName = ""
    camera: PlaceName = ""
    label: str = Field(default="", max_length=TEXT_MAX_CHARS)


class AlertChanges:
    """The handlers of reviews and shelves."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @needs(Role.OPERATOR)
    async def review(self, request: Request) -> Response:
        """``POST /api/reviews``: acknowledge, withdraw, comment or judge alerts.

        The answer holds the number of changed alerts, and the rows of at most 200.
        """
        body = await read_body(request, ReviewBody)
        fault = body.review.fault()
        if fault:
            raise HTTPException(400, fault)
        if bool(body.ids) == (body.filter is not None):
            raise HTTPException(400, "give ids, or a filter")
        return as_json(await run_in_threadpool(self._review, request, body))

    @needs(Role.VIEWER)
    def reviews(self, request: Request) -> Response:
        """``GET /api/alerts/{id}/reviews``: who has done what, the newest first."""
        event_id = event_id_of(request)
        with self._site.database.read() as connection:
            listing = Listing(language_of(request), read_settings(connection))
            found = reviews_of(connection, event_id)
        return as_json({"reviews": listing.reviews(found)})

    @needs(Role.VIEWER)
    def shelves(self, request: Request) -> Response:
        """``GET /api/shelves``: the shelves in force, the next to end first."""
        with self._site.database.read() as connection:
            listing = Listing(language_of(request), read_settings(connection))
            found = shelves_in_force(connection, now_ms())
        names = ("site", "line", "station", "camera", "label")
        content = [
            {
                "k": shelf.k,
                "what": [*filter(None, (getattr(shelf, name) for name in names))],
                "reason": shelf.reason,
                "creator": shelf.creator,
                "created": listing.when(shelf.created_ms),
                "until": listing.when(shelf.until_ms),
                "until_ms": shelf.until_ms,
            }
            for shelf in found
        ]
        return as_json({"shelves": content})

    @needs(Role.OPERATOR)
    async def shelve(self, request: Request) -> Response:
        """``POST /api/shelves``: hide what happens at a place, for a time."""
        body = await read_body(request, ShelfBody)
        return as_json(await run_in_threadpool(self._shelve, request, body))

    @needs(Role.OPERATOR)
    def end_shelf(self, request: Request) -> Response:
        """``POST /api/shelves/{k}/end``: show again what a shelf hides."""
        k = number_of(str(request.path_params["k"]), "the number of a shelf")
        name = _name_of(request)
        try:
            with self._site.database.write() as connection:
                end_shelf(connection, k, name, now_ms())
                audit.append(connection, name, "shelf.end", str(k), {})
        except ShelfRefusedError as exc:
            raise HTTPException(409, str(exc)) from exc
        return as_json({"ended": k})

    def _review(self, request: Request, body: ReviewBody) -> dict[str, object]:
        name, review = _name_of(request), body.review
        with self._site.database.write() as connection:
            ids = self._selected(request, body)
            args = (connection, name, ids, review)
            try:
                changed = add_review(*args, at_ms=now_ms())
            except UnknownAlertError as exc:
                raise HTTPException(404, f"no such alert: {exc}") from exc
            if changed:
                details = {
                    "alerts": len(changed),
                    "ids": changed[:IDS_IN_AUDIT],
                    "filter": body.filter.query if body.filter else "",
                    "verdict": review.verdict,
                    "label": review.label,
                    "text": review.text,
                }
                given = {key: value for key, value in details.items() if value}
                subject = (
                    changed[0] if len(changed) == 1 else counted(len(changed), "alert")
                )
                action = f"alert.{review.kind}"
                audit.append(connection, name, action, subject, given)
        shown = changed[:PAGE_MAX_ROWS]
        if changed:
            event = LiveEvent(REVIEW, json.dumps({"ids": shown, "n": len(changed)}))
            self._site.hub.publish_from_thread([event])
        return {"changed": len(changed), "alerts": self._rows(request, shown)}

    def _selected(self, request: Request, body: ReviewBody) -> list[str]:
        """Return the ids of a selection or of a filter.

        Raises:
            HTTPException: 400 = not ids; 409 = the filter selects another number now.
        """
        chosen = body.filter
        if chosen is None:
            if not all(map(EVENT_ID.fullmatch, body.ids)):
                raise HTTPException(400, "ids: not an event id")
            return list(dict.fromkeys(body.ids))
        with self._site.database.read() as connection:
            plant = Listing(language_of(request), read_settings(connection)).plant
            scope = {"type": "http", "query_string": chosen.query.encode()}
            query = Request(scope).query_params
            wanted = read_list_url(query, plant, chosen.now_ms).wanted
            search = AlertSearch(connection, chosen.now_ms)
            ids = search.ids(wanted, chosen.newest, COUNT_MAX + 1)
        if len(ids) != chosen.count:
            found = counted(len(ids), "alert")
            detail = f"the filter selects {found} now, not {chosen.count}"
            raise HTTPException(409, detail)
        return ids

    def _rows(self, request: Request, ids: list[str]) -> list[dict[str, object]]:
        with self._site.database.read() as connection:
            listing = Listing(language_of(request), read_settings(connection))
            found = AlertSearch(connection, now_ms()).listed(ids)
        return [listing.row(each) for each in found]

    def _shelve(self, request: Request, body: ShelfBody) -> dict[str, object]:
        at_ms, name = now_ms(), _name_of(request)
        values = body.model_dump(exclude={"minutes"})
        values["reason"], values["label"] = _stored(body.reason), _stored(body.label)
        until_ms = at_ms + body.minutes * MS_PER_MINUTE
        shelf = Shelf(0, at_ms, until_ms, creator=name, **values)
        try:
            with self._site.database.write() as connection:
                k = put_on_shelf(connection, shelf)
                details = {**values, "until_ms": until_ms}
                given = {key: value for key, value in details.items() if value}
                audit.append(connection, name, "shelf.add", str(k), given)
        except ShelfRefusedError as exc:
            raise HTTPException(400, str(exc)) from exc
        return {"k": k, "until_ms": until_ms}


def _name_of(request: Request) -> str:
    user = user_of(request)
    return user.name if user else ""


def _stored(text: str) -> str:
    """Return a text that every database can hold."""
    return text.replace("\0", "").strip()
