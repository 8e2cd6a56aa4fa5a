"""Users and tokens, for admins."""

from typing import Annotated, Literal

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.access import users
from dashboard.access.passwords import PASSWORD_MIN_CHARS, check_new_password
from dashboard.access.roles import Role
from dashboard.access.tokens import (
    TOKEN_NAME_MAX_CHARS,
    TokenKind,
    add_token,
    list_tokens,
    remove_token,
)
from dashboard.messages import INTEGER_MAX
from dashboard.web.account.login import NAME_MAX_CHARS, TypedPassword
from dashboard.web.account.times import ShownTimes
from dashboard.web.api import as_json
from dashboard.web.permissions import known_identity, needs
from dashboard.web.site import Site, read_body
from models.config import Settings

DAYS_MAX = 3650
RoleName = Literal["viewer", "operator", "engineer", "admin"]
UserName = Annotated[str, Field(min_length=1, max_length=NAME_MAX_CHARS)]


class NewUserBody(Settings):
    """A user to add."""

    name: UserName
    role: RoleName
    password: TypedPassword


class RoleBody(Settings):
    """Another role for a user."""

    name: UserName
    role: RoleName


class ResetBody(Settings):
    """Another password for a user."""

    name: UserName
    password: TypedPassword


class UserBody(Settings):
    """A user to remove."""

    name: UserName


class NewTokenBody(Settings):
    """A token to make; its role counts for programs only."""

    name: str = Field(min_length=1, max_length=TOKEN_NAME_MAX_CHARS)
    kind: TokenKind
    role: RoleName = "viewer"
    days: int | None = Field(default=None, ge=1, le=DAYS_MAX)


class TokenBody(Settings):
    """A token to remove."""

    id: int = Field(ge=1, le=INTEGER_MAX)


class PeopleRoutes:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site, self._database = site, site.database

    @needs(Role.ADMIN)
    def page(self, request: Request) -> Response:
        """``GET /users``: users and tokens."""
        with self._database.read() as connection:
            accounts = users.list_users(connection)
            tokens = list_tokens(connection)
        return self._site.renderer.page(
            request,
            "account/people.html",
            areas=("account",),
            accounts=accounts,
            tokens=tokens,
            roles=[users.str_of(role) for role in Role],
            password_min=PASSWORD_MIN_CHARS,
            times=ShownTimes(self._database),
        )

    @needs(Role.ADMIN)
    def read(self, _request: Request) -> Response:
        """``GET /api/users``: name and role of each user."""
        with self._database.read() as connection:
            found = users.list_users(connection)
        shown = [
            {
                "name": each.name,
                "role": users.str_of(each.role),
                "created_ms": each.created_ms,
                "password_ms": each.password_ms,
            }
            for each in found
        ]
        return as_json({"users": shown})

    @needs(Role.ADMIN)
    async def add(self, request: Request) -> Response:
        """``POST /api/users``: add a user; the first one is an admin."""
        body = await read_body(request, NewUserBody)
        by = known_identity(request).user.name

        def write() -> None:
            name = users.plain_user_name(body.name)
            check_new_password(name, body.password)
            hashed = self._site.logins.passwords.hash(body.password)
            with self._database.write() as connection:
                users.add_user(connection, by, name, users.role_of(body.role), hashed)

        await run_in_threadpool(write)
        return as_json({}, 201)

    @needs(Role.ADMIN)
    async def set_role(self, request: Request) -> Response:
        """``POST /api/users/role``: change the role of a user."""
        body = await read_body(request, RoleBody)
        by = known_identity(request).user.name

        def write() -> None:
            with self._database.write() as connection:
                users.set_role(connection, by, body.name, users.role_of(body.role))

        await run_in_threadpool(write)
        return as_json({})

    @needs(Role.ADMIN)
    async def reset_password(self, request: Request) -> Response:
        """``POST /api/users/password``: set the password of another user."""
        body = await read_body(request, ResetBody)
        by = known_identity(request).user.name
        _refuse_own(by, body.name)  # a stolen session must not take the account over

        def write() -> None:
            check_new_password(body.name, body.password)
            hashed = self._site.logins.passwords.hash(body.password)
            with self._database.write() as connection:
                users.set_password(connection, by, body.name, hashed)

        await run_in_threadpool(write)
        return as_json({})

    @needs(Role.ADMIN)
    async def remove(self, request: Request) -> Response:
        """``POST /api/users/remove``: remove another user."""
        body = await read_body(request, UserBody)
        by = known_identity(request).user.name
        _refuse_own(by, body.name)

        def write() -> None:
            with self._database.write() as connection:
                users.remove_user(connection, by, body.name)

        await run_in_threadpool(write)
        return as_json({})

    @needs(Role.ADMIN)
    async def make_token(self, request: Request) -> Response:
        """``POST /api/tokens``: make a token; its secret is in this answer only."""
        body = await read_body(request, NewTokenBody)
        by, role = known_identity(request).user.name, users.role_of(body.role)

        def write() -> str:
            with self._database.write() as connection:
                return add_token(connection, by, body.name, body.kind, role, body.days)

        return as_json({"token": await run_in_threadpool(write)}, 201)

    @needs(Role.ADMIN)
    async def drop_token(self, request: Request) -> Response:
        """``POST /api/tokens/remove``: remove a token."""
        body = await read_body(request, TokenBody)
        by = known_identity(request).user.name

        def write() -> None:
            with self._database.write() as connection:
                remove_token(connection, by, body.id)

        await run_in_threadpool(write)
        return as_json({})


def _refuse_own(by: str, name: str) -> None:
    if name.strip().lower() == by:
        raise HTTPException(400, "not for your own user: see /account")


def people_routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    handlers = PeopleRoutes(site)
    posts = {
        "/api/users/role": handlers.set_role,
        "/api/users/password": handlers.reset_password,
        "/api/users/remove": handlers.remove,
        "/api/tokens": handlers.make_token,
        "/api/tokens/remove": handlers.drop_token,
    }
    return [
        Route("/users", handlers.page),
        Route("/api/users", handlers.read),
        Route("/api/users", handlers.add, methods=["POST"]),
        *(Route(path, handler, methods=["POST"]) for path, handler in posts.items()),
    ]
