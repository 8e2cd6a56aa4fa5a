"""The web application: the routes of all areas, and what is around each request.

A page may load nothing from other hosts and run no inline script
(Content-Security-Policy).
"""

import logging
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.access.passwords import TooManyLoginsError
from dashboard.history.database import reason_of
from dashboard.web import api
from dashboard.web.account.routes import routes as account_routes
from dashboard.web.alerts.routes import routes as alerts_routes
from dashboard.web.analysis.routes import routes as analysis_routes
from dashboard.web.api import Api, as_json
from dashboard.web.compressed_files import CompressedFiles
from dashboard.web.identify import Identify, wants_page
from dashboard.web.learning.routes import routes as learning_routes
from dashboard.web.lines.routes import routes as lines_routes
from dashboard.web.permissions import user_of
from dashboard.web.programs.routes import Programs
from dashboard.web.rendering import Renderer
from dashboard.web.site import Site
from dashboard.web.wall.routes import routes as wall_routes
from models.errors import ConfigError
from models.http_hosts import is_served
from models.shown_text import on_one_line

BUSY_WAIT_S = 5
logger = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"
SAFE_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class SafeHeaders:
    """Adds the security headers to every response, including errors and files.

    It is outside of the whole application: Starlette answers an exception that no
    handler expects outside of its middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("cache-control", "no-cache")
                for name, value in SAFE_HEADERS.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, send_safe)


class OwnHosts:
    """Answers only requests to hosts of this machine; see ``models.http_hosts``."""

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        host = Headers(scope=scope).get("host", "")
        if scope["type"] == "http" and not is_served(host, self._allowed):
            detail = "not a host of this machine; see [server] allowed_hosts"
            await as_json({"error": detail}, 421)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def create_app(site: Site) -> ASGIApp:
    """Return the web application."""
    routes: list[BaseRoute] = [
        *api.routes(Api(site.history, site.hub, site.broadcaster)),
        *account_routes(site),
        *wall_routes(site),
        *alerts_routes(site),
        *analysis_routes(site),
        *lines_routes(site),
        *learning_routes(site),
    ]
    routes += Programs(site, routes).routes()
    routes.append(Mount("/static", CompressedFiles(STATIC)))
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(OwnHosts, allowed=site.settings.server.allowed_hosts),
            Middleware(Identify, logins=site.logins, server=site.settings.server),
        ],
        exception_handlers={
            HTTPException: partial(_answer_refusal, site.renderer),
            ConfigError: _answer_not_accepted,
            TooManyLoginsError: _answer_busy,
            SQLAlchemyError: _answer_unreadable,
        },
    )
    return SafeHeaders(app)


async def _answer_refusal(
    renderer: Renderer, request: Request, exc: Exception
) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    detail = exc.detail if isinstance(exc, HTTPException) else ""
    if wants_page(request):
        template = "account/refused.html"
        return await run_in_threadpool(
            renderer.page,
            request,
            template,
            status_code=status,
            status=status,
            detail=detail,
        )
    answer = as_json({"error": detail}, status)
    answer.headers.update((exc.headers or {}) if isinstance(exc, HTTPException) else {})
    return answer


async def _answer_not_accepted(_request: Request, exc: Exception) -> Response:
    parts = (exc.what, exc.why) if isinstance(exc, ConfigError) else ()
    return as_json({"error": " ".join(filter(None, parts))}, 400)


async def _answer_busy(_request: Request, _exc: Exception) -> Response:
    answer = as_json({"error": "too many logins at once", "wait_s": BUSY_WAIT_S}, 503)
    answer.headers["retry-after"] = str(BUSY_WAIT_S)
    return answer


async def _answer_unreadable(request: Request, exc: Exception) -> Response:
    """Answer with the reason; somebody unknown does not see it."""
    is_read = request.method in {"GET", "HEAD"}
    verb = "read" if is_read else "written"
    detail = f"the history cannot be {verb} now"
    reason = reason_of(exc) if isinstance(exc, SQLAlchemyError) else ""
    if user_of(request) is None:
        logger.warning("history_unreadable reason=%s", on_one_line(reason))
    else:
        detail = f"{detail}: {reason}"
    return as_json({"error": detail}, 503)
