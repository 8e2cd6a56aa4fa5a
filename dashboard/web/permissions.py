"""Lets a route be used only by people and programs whose role is high enough."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dashboard.access.roles import Role, User

Endpoint = Callable[[Request], Response | Awaitable[Response]]
USER = "graftline.user"  # key of the scope


def user_of(request: Request) -> User | None:
    """Return who sent a request; None for somebody unknown."""
    return cast("User | None", request.scope.get(USER))


def needs(role: Role) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Refuse a request whose user has a lower role (403), or none (401).

    For functions and methods whose last argument is the request.
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

        return guarded

    return decorate
