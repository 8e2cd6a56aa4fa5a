"""Notes who sent each request, and refuses those of strangers and of other sites.

A cookie is sent by the browser alone, also when another site causes the request. So a
change needs what only a page of this site can know, the CSRF token. A token in the
header needs none: no browser adds it.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.access.logins import Credentials, Identity, Logins
from dashboard.access.sessions import LONGEST_KIOSK_MS, Client
from dashboard.config import ServerSettings
from dashboard.history.database import reason_of
from dashboard.web.connections import client_of
from dashboard.web.permissions import (
    IDENTITY,
    METRICS_PATH,
    PUBLIC_FILES,
    is_public,
)
from models.shown_text import on_one_line

READING: Final = ("GET", "HEAD", "OPTIONS")
FIRST_RUN, KIOSK = "token", "kiosk"  # keys of a query
SAME_SITE: Final = ("same-origin", "none")
CHECK_EVERY_S: Final = 15.0  # whether who reads live events may still do so
NEXT_MAX_CHARS: Final = 2000
HEAD_START: Final = "Bearer "
logger = logging.getLogger(__name__)


class Identify:
    """Notes who sent each request, see ``permissions.identity_of``."""

    def __init__(self, app: ASGIApp, logins: Logins, server: ServerSettings) -> None:
        self._app, self._logins, self._server = app, logins, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        credentials = credentials_of(request, self._server)
        try:
            identity = await self._identify(credentials)
            answer = await self._enter(request, identity, credentials.cookie)
        except SQLAlchemyError as exc:
            identity, answer = None, None
            if not is_public(scope["path"]):
                # Who asks is not known: the reason is for the log only.
                reason = on_one_line(reason_of(exc))
                logger.warning("history_unreadable reason=%s", reason)
                answer = _refusal(503, "the history cannot be read now")
        scope[IDENTITY] = identity
        answer = answer or _refuse(request, identity)
        if answer is not None:
            await answer(scope, receive, send)
            return

        async def is_valid() -> bool:
            return await self._identify(credentials) is not None

        watched = _while_valid(receive, is_valid) if identity else receive
        await self._app(scope, watched, send)

    def _is_open(self, path: str) -> bool:
        """Return whether it does not matter who sends a request."""
        is_figures = path == METRICS_PATH and self._server.public_metrics
        return is_figures or path.startswith(PUBLIC_FILES)

    async def _identify(self, credentials: Credentials) -> Identity | None:
        return await run_in_threadpool(self._logins.identify, credentials)

    async def _enter(
        self, request: Request, identity: Identity | None, cookie: str
    ) -> Response | None:
        """Exchange a token in the URL for a cookie; None = there is none."""
        query = dict(request.query_params)
        key = next((each for each in (FIRST_RUN, KIOSK) if each in query), None)
        if key is None or request.method != "GET" or is_public(request.url.path):
            return None
        answer = RedirectResponse(_without(request, key), 303)
        if identity is not None:  # a login that is there stays
            return answer
        enter = (
            self._logins.enter_first_run
            if key == FIRST_RUN
            else self._logins.enter_kiosk
        )
        client = client_shown(request)
        secret = await run_in_threadpool(enter, query[key], client, cookie)
        if not secret:
            return RedirectResponse(login_url(_without(request, key), refused=key), 303)
        set_session(answer, request, self._server, secret)
        return answer


def cookie_name(request: Request, server: ServerSettings) -> str:
    """Return the name of the session's cookie.

    Browsers share cookies between the ports of a machine, on which several dashboards
    may run. With HTTPS, ``__Host-`` keeps other hosts of the same domain from setting
    it.
    """
    prefix = "__Host-" if request.url.scheme == "https" else ""
    return f"{prefix}graftline_{server.port}"


def credentials_of(request: Request, server: ServerSettings) -> Credentials:
    """Return what a request shows to be known."""
    header = request.headers.get("authorization", "")
    bearer = header.removeprefix(HEAD_START) if header.startswith(HEAD_START) else ""
    return Credentials(
        cookie=request.cookies.get(cookie_name(request, server), ""),
        bearer=bearer.strip(),
    )


def client_shown(request: Request) -> Client:
    """Return where a request comes from."""
    address = client_of(request.client.host) if request.client else ""
    return Client(address, on_one_line(request.headers.get("user-agent", "")))


def set_session(
    answer: Response, request: Request, server: ServerSettings, secret: str
) -> None:
    """Give the browser the cookie of a session; the server decides when it ends.

    Args:
        secret: Empty = remove the cookie.
    """
    answer.set_cookie(
        cookie_name(request, server),
        secret,
        max_age=LONGEST_KIOSK_MS // 1000 if secret else 0,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    answer.headers["cache-control"] = "no-store"


def login_url(next_path: str, refused: str = "") -> str:
    """Return the address of the login, which leads on to a page of this site.

    Args:
        refused: ``token`` or ``kiosk`` whose secret in the URL was not accepted.
    """
    query = {"next": next_path} if next_path != "/" else {}
    if refused:
        query["refused"] = refused
    return f"/login?{urlencode(query)}" if query else "/login"


def own_path(wanted: str) -> str:
    """Return an address of this site with path and query, or ``/`` for any other.

    >>> own_path("/alerts?line=a"), own_path("//evil.example"), own_path("x:y")
    ('/alerts?line=a', '/', '/')
    """
    is_own = wanted.startswith("/") and not wanted.startswith(("//", "/\\", "/login"))
    if not is_own or not wanted.isprintable() or len(wanted) > NEXT_MAX_CHARS:
        return "/"
    return wanted


def _without(request: Request, key: str) -> str:
    """Return the path and query of a request without one key."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    query = urlencode([(name, value) for name, value in pairs if name != key])
    return own_path(quote(request.url.path) + (f"?{query}" if query else ""))


def _refuse(request: Request, identity: Identity | None) -> Response | None:
    """Return the answer to who may not go on; None = who may."""
    path = request.url.path
    if identity is None and not is_public(path):
        if request.method in READING and wants_page(request):
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(login_url(own_path(quote(path) + query)), 303)
        return _refusal(401, "log in first, or send a token: see /login")
    if request.method in READING:
        return None
    if identity is None:
        return None if _is_of_this_site(request) else _refusal(403, "another site")
    sent = request.headers.get("x-csrf-token", "")
    if identity.session and not hmac.compare_digest(
        sent.encode(), identity.csrf.encode()
    ):
        return _refusal(403, "x-csrf-token is missing or of another login: reload")
    return None


def wants_page(request: Request) -> bool:
    """Return whether a person waits for a page, and no program for JSON."""
    is_page = "text/html" in request.headers.get("accept", "")
    return is_page and not request.url.path.startswith("/api/")


def _is_of_this_site(request: Request) -> bool:
    """Return whether a page of this site, or no page, sent a login.

    Browsers send ``Sec-Fetch-Site`` to HTTPS and to this machine only, ``Origin``
    always with a POST.
    """
    if not request.headers.get("content-type", "").startswith("application/json"):
        return False  # a form of another site cannot send JSON
    if site := request.headers.get("sec-fetch-site"):
        return site in SAME_SITE
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _refusal(status: int, detail: str) -> Response:
    headers = {"cache-control": "no-store"}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": detail}, status, headers=headers)


def _while_valid(receive: Receive, is_valid: Callable[[], Awaitable[bool]]) -> Receive:
    """Return a ``receive`` that ends the connection after a logout or expiry."""

    async def receive_or_end() -> Message:
        pending = asyncio.ensure_future(receive())
        try:
            while True:
                done, _ = await asyncio.wait({pending}, timeout=CHECK_EVERY_S)
                if done:
                    return pending.result()
                try:
                    is_ended = not await is_valid()
                except SQLAlchemyError:
                    is_ended = False  # busy or full: those who look go on
                if is_ended:
                    return {"type": "http.disconnect"}
        finally:
            pending.cancel()

    return receive_or_end
