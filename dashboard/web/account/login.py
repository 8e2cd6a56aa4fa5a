"""Log in, log out, and who is logged in."""

from typing import Annotated

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.access.logins import LoginResult
from dashboard.access.passwords import PASSWORD_MAX_CHARS
from dashboard.access.roles import Role
from dashboard.access.users import str_of
from dashboard.web.api import as_json
from dashboard.web.identify import (
    FIRST_RUN,
    KIOSK,
    client_shown,
    credentials_of,
    own_path,
    set_session,
)
from dashboard.web.permissions import identity_of, known_identity, needs
from dashboard.web.site import Site, read_body
from models.config import Settings

NAME_MAX_CHARS = 64
TypedPassword = Annotated[str, Field(max_length=PASSWORD_MAX_CHARS)]


class LoginBody(Settings):
    """What the login sends."""

    name: str = Field(max_length=NAME_MAX_CHARS)
    password: TypedPassword


class LogoutBody(Settings):
    """What logging out sends."""

    everywhere: bool = False


class LoginRoutes:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site, self._logins = site, site.logins
        self._server = site.settings.server

    def page(self, request: Request) -> Response:
        """``GET /login``: the page; who is logged in goes on to ``next``."""
        wanted = own_path(request.query_params.get("next", "/"))
        if identity_of(request) is not None:
            return RedirectResponse(wanted, 303)
        refused = request.query_params.get("refused", "")
        return self._site.renderer.page(
            request,
            "account/login.html",
            areas=("account",),
            next=wanted,
            refused=refused if refused in {FIRST_RUN, KIOSK} else "",
            is_first_run=self._logins.is_first_run(),
        )

    def session(self, request: Request) -> Response:
        """``GET /api/session``: name and role; null for somebody unknown."""
        identity = identity_of(request)
        user = identity.user if identity else None
        return as_json(
            {
                "user": user.name if user else None,
                "role": str_of(user.role) if user else None,
            }
        )

    async def log_in(self, request: Request) -> Response:
        """``POST /api/login``: name and password for a cookie.

        Returns:
            401 = one of them is wrong, 429 = wait first.
        """
        body = await read_body(request, LoginBody)
        cookie = credentials_of(request, self._server).cookie
        client = client_shown(request)
        result = await run_in_threadpool(
            self._logins.log_in, body.name, body.password, client, cookie
        )
        return answer_login(self._site, request, result)

    @needs(Role.VIEWER)
    async def log_out(self, request: Request) -> Response:
        """``POST /api/logout``: end this session, or all of the same user."""
        body = await read_body(request, LogoutBody)
        await run_in_threadpool(
            self._logins.log_out, known_identity(request), everywhere=body.everywhere
        )
        answer = as_json({})
        set_session(answer, request, self._server, "")
        # Pages that the browser keeps for its back button are of somebody else now.
        answer.headers["clear-site-data"] = '"cache"'
        return answer


def answer_login(site: Site, request: Request, result: LoginResult) -> Response:
    """Return the answer to a password, with the cookie where it was right."""
    if result.wait_s:
        wait_s = max(1, round(result.wait_s))
        answer = as_json({"error": "too many wrong passwords", "wait_s": wait_s}, 429)
        answer.headers["retry-after"] = str(wait_s)
        return answer
    if not result.cookie:
        return as_json({"error": "the name or the password is wrong"}, 401)
    answer = as_json({})
    set_session(answer, request, site.settings.server, result.cookie)
    return answer


def login_routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    handlers = LoginRoutes(site)
    return [
        Route("/login", handlers.page),
        Route("/api/session", handlers.session),
        Route("/api/login", handlers.log_in, methods=["POST"]),
        Route("/api/logout", handlers.log_out, methods=["POST"]),
    ]
