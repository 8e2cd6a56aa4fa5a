"""``/api/alerts/ID/full-picture`` and ``.../heat-map``: fetch it, and look at it."""

from contextlib import suppress
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.access import audit
from dashboard.access.roles import Role
from dashboard.history.alert_search import AlertSearch
from dashboard.history.full_picture_cache import (
    PictureKind,
    has_full_picture,
    note_use,
    read_full_picture,
)
from dashboard.history.queries import Json
from dashboard.history.station_reach import why_away
from dashboard.status import now_ms
from dashboard.web.alerts.full_pictures import Fetch, FetchState, FullPictures, Wanted
from dashboard.web.alerts.pages import event_id_of
from dashboard.web.api import as_json
from dashboard.web.permissions import needs, user_of
from dashboard.web.site import Site
from models.topics import StationTopics

# Key of the alert that names the file on the line PC, and the type of the file.
PATHS: Final = {PictureKind.FULL: "evidence", PictureKind.HEAT_MAP: "heat_map"}
TYPES: Final = {PictureKind.FULL: "image/jpeg", PictureKind.HEAT_MAP: "image/png"}
AUDITED: Final = {PictureKind.FULL: {}, PictureKind.HEAT_MAP: {"kind": "heat-map"}}


class PictureRequests:
    """The handlers of full pictures and of heat maps."""

    def __init__(self, site: Site, pictures: FullPictures) -> None:
        self._site, self._pictures = site, pictures

    def routes(self) -> list[BaseRoute]:
        """Return the routes of both kinds."""
        found: list[BaseRoute] = []
        for kind in PictureKind:
            url = f"/api/alerts/{{event_id}}/{kind}"
            found += [
                Route(url, self.picture),
                Route(url, self.request, methods=["POST"]),
                Route(f"{url}/state", self.state),
            ]
        return found

    @needs(Role.OPERATOR)
    def request(self, request: Request) -> Response:
        """``POST /api/alerts/{id}/full-picture``: fetch it from the line PC.

        The answer is that of ``GET .../full-picture/state``. The heat map of the class
        unknown is at ``/api/alerts/{id}/heat-map`` in the same way.
        """
        wanted = _wanted(request)
        with self._site.database.read() as connection:
            alert = AlertSearch(connection, now_ms()).alert(wanted.event_id)
            if alert is None:
                raise HTTPException(404, "no such alert")
            if has_full_picture(connection, wanted.event_id, wanted.kind):
                return as_json(_as_json(Fetch(FetchState.DONE)))
            path = alert[PATHS[wanted.kind]]
            if not path:
                raise HTTPException(409, "the line PC has kept no picture of it")
            topics = StationTopics(alert["site"], alert["line"], alert["station"])
            away = why_away(connection, topics)
        if away:
            return as_json(_as_json(Fetch(FetchState.FAILED, reason=away)))
        user = user_of(request)
        with self._site.database.write() as connection:
            name = user.name if user else ""
            details = AUDITED[wanted.kind]
            audit.append(connection, name, "alert.picture", wanted.event_id, details)
        fetch = self._pictures.start(wanted, topics, str(path))
        return as_json(_as_json(fetch))

    @needs(Role.VIEWER)
    def state(self, request: Request) -> Response:
        """``GET /api/alerts/{id}/full-picture/state``: how far it is.

        That of the heat map is at ``/api/alerts/{id}/heat-map/state``.
        """
        wanted = _wanted(request)
        fetch = self._pictures.state(wanted)
        if fetch.state in {FetchState.NONE, FetchState.DONE}:
            with self._site.database.read() as connection:
                is_here = has_full_picture(connection, wanted.event_id, wanted.kind)
            fetch = Fetch(FetchState.DONE if is_here else FetchState.NONE)
        return as_json(_as_json(fetch))

    @needs(Role.VIEWER)
    def picture(self, request: Request) -> Response:
        """``GET /api/alerts/{id}/full-picture``: the JPEG, if it was fetched.

        The heat map at ``/api/alerts/{id}/heat-map`` is a grey PNG over the frame.
        """
        wanted = _wanted(request)
        with self._site.database.read() as connection:
            found = read_full_picture(connection, wanted.event_id, wanted.kind)
        if found is None:
            raise HTTPException(404, "it was not fetched")
        sha256, content = found
        headers = {
            "etag": f'"{sha256}"',
            "cache-control": "private, max-age=86400, immutable",
        }
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        # What cannot be noted on a full disk can be shown all the same.
        with suppress(SQLAlchemyError), self._site.database.write() as connection:
            note_use(connection, sha256, now_ms())
        return Response(content, media_type=TYPES[wanted.kind], headers=headers)


def _wanted(request: Request) -> Wanted:
    """Return which picture the address names."""
    parts = request.url.path.removesuffix("/state").rsplit("/", 1)
    return Wanted(event_id_of(request), PictureKind(parts[-1]))


def _as_json(fetch: Fetch) -> Json:
    return {
        "state": fetch.state,
        "got_bytes": fetch.got_bytes,
        "size_bytes": fetch.size_bytes,
        "reason": fetch.reason,
    }
