"""The account of who is logged in: password and sessions."""

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.access import audit
from dashboard.access.logins import FIRST_RUN, Identity
from dashboard.access.passwords import PASSWORD_MIN_CHARS
from dashboard.access.roles import Role
from dashboard.access.sessions import (
    SHOWN_ID_CHARS,
    Session,
    end_shown_session,
    sessions_of,
)
from dashboard.status import now_ms
from dashboard.web.account.login import TypedPassword, answer_login
from dashboard.web.account.times import ShownTimes
from dashboard.web.api import as_json
from dashboard.web.identify import client_shown
from dashboard.web.permissions import known_identity, needs
from dashboard.web.site import Site, read_body
from models.config import Settings


class PasswordBody(Settings):
    """A change of the own password."""

    old: TypedPassword
    new: TypedPassword


class SessionBody(Settings):
    """Which of the own sessions is to end."""

    id: str = Field(pattern=rf"^[0-9a-f]{{{SHOWN_ID_CHARS}}}$")


class OwnRoutes:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site, self._logins, self._database = site, site.logins, site.database

    @needs(Role.VIEWER)
    def page(self, request: Request) -> Response:
        """``GET /account``: own password and sessions."""
        identity = known_identity(request)
        return self._site.renderer.page(
            request,
            "account/own.html",
            areas=("account",),
            sessions=self._sessions(identity),
            own_session=identity.session[:SHOWN_ID_CHARS],
            password_min=PASSWORD_MIN_CHARS,
            times=ShownTimes(self._database),
        )

    def _sessions(self, identity: Identity) -> list[tuple[str, Session]]:
        owner = identity.owner
        if owner is None or owner.token_id is not None:
            return []  # a screen does not show where the others are
        with self._database.read() as connection:
            found = sessions_of(connection, owner, now_ms())
        return [(each.digest[:SHOWN_ID_CHARS], each) for each in found]

    @needs(Role.VIEWER)
    async def change_password(self, request: Request) -> Response:
        """``POST /api/account/password``: the own one; other sessions end."""
        identity = known_identity(request)
        if not identity.has_password:
            raise HTTPException(400, "only a user has a password")
        body = await read_body(request, PasswordBody)
        result = await run_in_threadpool(
            self._logins.change_password,
            identity,
            body.old,
            body.new,
            client_shown(request),
        )
        return answer_login(self._site, request, result)

    @needs(Role.VIEWER)
    async def end_session(self, request: Request) -> Response:
        """``POST /api/account/sessions/end``: log another browser out."""
        body = await read_body(request, SessionBody)
        identity = known_identity(request)
        owner = identity.owner
        if owner is None or (owner.user_id is None and owner != FIRST_RUN):
            raise HTTPException(400, "only a user has sessions")

        def end() -> bool:
            with self._database.write() as connection:
                name, details = identity.user.name, {"id": body.id}
                is_ended = end_shown_session(connection, owner, body.id)
                if is_ended:
                    audit.append(connection, name, "session.end", name, details)
                return is_ended

        if not await run_in_threadpool(end):
            raise HTTPException(404, "no such session")
        return as_json({})


def own_routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    handlers = OwnRoutes(site)
    return [
        Route("/account", handlers.page),
        Route("/api/account/password", handlers.change_password, methods=["POST"]),
        Route("/api/account/sessions/end", handlers.end_session, methods=["POST"]),
    ]
