"""``/api/alerts/ID/full-picture``: ask a line PC for a picture, and look at it."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dashboard.access import audit
from dashboard.access.roles import Role
from dashboard.history.alert_search import AlertSearch
from dashboard.history.full_picture_cache import (
    has_full_picture,
    note_use,
    read_full_picture,
)
from dashboard.history.queries import Json
from dashboard.history.station_reach import why_away
from dashboard.status import now_ms
from dashboard.web.alerts.full_pictures import Fetch, FetchState, FullPictures
from dashboard.web.alerts.pages import event_id_of
from dashboard.web.api import as_json
from dashboard.web.permissions import needs, user_of
from dashboard.web.site import Site
from models.topics import StationTopics


class PictureRequests:
    """The handlers of full pictures."""

    def __init__(self, site: Site, pictures: FullPictures) -> None:
        self._site, self._pictures = site, pictures

    @needs(Role.OPERATOR)
    def request(self, request: Request) -> Response:
        """``POST /api/alerts/{id}/full-picture``: fetch it from the line PC.

        The answer is that of ``GET .../full-picture/state``.
        """
        event_id = event_id_of(request)
        with self._site.database.read() as connection:
            alert = AlertSearch(connection, now_ms()).alert(event_id)
            if alert is None:
                raise HTTPException(404, "no such alert")
            if has_full_picture(connection, event_id):
                return as_json(_as_json(Fetch(FetchState.DONE)))
            if not alert["evidence"]:
                raise HTTPException(409, "the line PC has kept no picture of it")
            topics = StationTopics(alert["site"], alert["line"], alert["station"])
            away = why_away(connection, topics)
        if away:
            return as_json(_as_json(Fetch(FetchState.FAILED, reason=away)))
        user = user_of(request)
        with self._site.database.write() as connection:
            name = user.name if user else ""
            audit.append(connection, name, "alert.picture", event_id, {})
        fetch = self._pictures.start(event_id, topics, str(alert["evidence"]))
        return as_json(_as_json(fetch))

    @needs(Role.VIEWER)
    def state(self, request: Request) -> Response:
        """``GET /api/alerts/{id}/full-picture/state``: how far it is."""
        event_id = event_id_of(request)
        fetch = self._pictures.state(event_id)
        if fetch.state in {FetchState.NONE, FetchState.DONE}:
            with self._site.database.read() as connection:
                is_here = has_full_picture(connection, event_id)
            fetch = Fetch(FetchState.DONE if is_here else FetchState.NONE)
        return as_json(_as_json(fetch))

    @needs(Role.VIEWER)
    def picture(self, request: Request) -> Response:
        """``GET /api/alerts/{id}/full-picture``: the JPEG, if it was fetched."""
        event_id = event_id_of(request)
        with self._site.database.read() as connection:
            found = read_full_picture(connection, event_id)
        if found is None:
            raise HTTPException(404, "it was not fetched")
        sha256, jpeg = found
        headers = {
            "etag": f'"{sha256}"',
            "cache-control": "private, max-age=86400, immutable",
        }
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        with self._site.database.write() as connection:
            note_use(connection, sha256, now_ms())
        return Response(jpeg, media_type="image/jpeg", headers=headers)


def _as_json(fetch: Fetch) -> Json:
    return {
        "state": fetch.state,
        "got_bytes": fetch.got_bytes,
        "size_bytes": fetch.size_bytes,
        "reason": fetch.reason,
    }
