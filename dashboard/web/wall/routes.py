"""The wall: all cameras at a glance, for a screen above the line and for a phone.

The scheme of its URLs is documented in docs/how-to/wall.md and stays.
"""

from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.access import audit
from dashboard.access.roles import Role
from dashboard.history.alarms import (
    COMMENT_MAX_CHARS,
    AlarmState,
    acknowledge_alarm,
    alarm_by_id,
    last_alarms,
    open_alarms,
)
from dashboard.history.settings import read_settings
from dashboard.messages import INTEGER_MAX
from dashboard.status import now_ms
from dashboard.web.api import as_json, query_number
from dashboard.web.board import shown_alarms
from dashboard.web.permissions import known_identity, needs, user_of
from dashboard.web.site import Site, read_body

ALARMS_MAX = 500


class AlarmComment(BaseModel):
    """What is noted with an acknowledgement."""

    comment: str = Field(default="", max_length=COMMENT_MAX_CHARS)


class Wall:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @needs(Role.VIEWER)
    def page(self, request: Request) -> Response:
        """``GET /wall``: a tile for each camera, live.

        ``?site=&line=&station=`` select, each may be repeated; ``view=kiosk`` is for a
        screen without an operator, as a login by a kiosk token is; ``rotate=30`` shows
        one line after the other; ``sound=off|alarms|alerts`` and ``flash=1`` need no
        menu.
        """
        asked, identity = request.query_params, known_identity(request)
        owner = identity.owner
        is_kiosk = owner is not None and owner.token_id is not None
        return self._site.renderer.page(
            request,
            "wall/wall.html",
            areas=("wall",),
            is_kiosk=is_kiosk or asked.get("view") == "kiosk",
            has_charts="rotate" not in asked,  # they are of all that is chosen
            is_operator=identity.user.role >= Role.OPERATOR,
        )

    @needs(Role.VIEWER)
    def alarms(self, request: Request) -> Response:
        """``GET /api/alarms?limit=50``: the open alarms, and the last ones of all."""
        limit = query_number(request, "limit", 50, 1, ALARMS_MAX)
        with self._site.database.read() as connection:
            settings = read_settings(connection)
            found = {
                "open": shown_alarms(open_alarms(connection), settings),
                "last": shown_alarms(last_alarms(connection, limit), settings),
            }
        return as_json(found)

    @needs(Role.OPERATOR)
    async def acknowledge(self, request: Request) -> Response:
        """``POST /api/alarms/{id}/acknowledge``: note that somebody has seen it."""
        comment = (await read_body(request, AlarmComment)).comment.strip()
        alarm_id = min(int(request.path_params["alarm_id"]), INTEGER_MAX)
        user = user_of(request)
        alarm = await run_in_threadpool(
            self._acknowledge, alarm_id, user.name if user else "", comment
        )
        if alarm is None:
            raise HTTPException(404, "no such alarm")
        self._site.broadcaster.note_change()
        return as_json(alarm.as_json())

    def _acknowledge(self, alarm_id: int, user: str, comment: str) -> AlarmState | None:
        with self._site.database.write() as connection:
            if acknowledge_alarm(connection, alarm_id, now_ms(), user, comment):
                details = {"comment": comment}
                audit.append(
                    connection, user, "alarm.acknowledge", str(alarm_id), details
                )
            return alarm_by_id(connection, alarm_id)

    @needs(Role.VIEWER)
    def home(self, request: Request) -> Response:
        """``GET /``: leads to the wall."""
        query = request.url.query
        return RedirectResponse(f"/wall?{query}" if query else "/wall", 303)


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    wall = Wall(site)
    return [
        Route("/", wall.home),
        Route("/wall", wall.page),
        Route("/api/alarms", wall.alarms),
        Route(
            "/api/alarms/{alarm_id:int}/acknowledge", wall.acknowledge, methods=["POST"]
        ),
    ]
