"""Lets a route be used only by people and programs whose role is high enough."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dashboard.access.logins import Identity
from dashboard.access.roles import Role, User

Endpoint = Callable[[Request], Response | Awaitable[Response]]
IDENTITY: Final = "graftline.identity"  # key of the scope
# What somebody unknown may use; all else asks for a login, also what does not exist.
PUBLIC_PATHS: Final = frozenset({"/healthz", "/login", "/api/login", "/api/session"})
PUBLIC_FILES: Final = "/static/"
METRICS_PATH: Final = "/metrics"  # public where the settings say so


def is_public(path: str) -> bool:
    """Return whether a path is served to somebody unknown."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_FILES)


def identity_of(request: Request) -> Identity | None:
    """Return who sent a request and how that is known; None for somebody unknown."""
    return cast("Identity | None", request.scope.get(IDENTITY))


def known_identity(request: Request) -> Identity:
    """Return who sent a request.

    Raises:
        HTTPException: 401 = somebody unknown.
    """
    identity = identity_of(request)
    if identity is None:
        raise HTTPException(401, "log in first")
    return identity


def user_of(request: Request) -> User | None:
    """Return who sent a request; None for somebody unknown."""
    identity = identity_of(request)
    return identity.user if identity else None


def needs(role: Role) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Refuse a request whose user has a lower role (403), or none (401).

    For functions and methods whose last argument is the request. The role is kept as
    the attribute ``role`` of the endpoint.
    """

    def decorate(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(endpoint)
        async def guarded(*arguments: Any) -> Response:  # noqa: ANN401 - passed on
            user = user_of(arguments[-1])
            if user is None:
                raise HTTPException(401, "log in first")
            if user.role < role:
                detail = f"this needs the role {role.name.lower()}"
                raise HTTPException(403, detail)
            if inspect.iscoroutinefunction(endpoint):
                return cast("Response", await endpoint(*arguments))
            return cast("Response", await run_in_threadpool(endpoint, *arguments))

        vars(guarded)["role"] = role
        return guarded

    return decorate
