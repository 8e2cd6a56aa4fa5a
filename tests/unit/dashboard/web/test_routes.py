"""Every route asks for a role, and every role gets what it may, and no more."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from dashboard.access.roles import Role
from dashboard.web.permissions import PUBLIC_PATHS
from tests.unit.dashboard.browser import SimBrowser, add_users, logged_in
from tests.unit.dashboard.sim_site import SimSite

# What a stranger may see; a new path belongs here only if it must work without a login.
PUBLIC = {"/healthz", "/login", "/api/login", "/api/session"}
USERS = {
    "ann": Role.ADMIN,
    "eve": Role.ENGINEER,
    "otto": Role.OPERATOR,
    "vera": Role.VIEWER,
}
ENDLESS = {"/api/events"}  # its role is tested as the others', but not its answer


def routes_of(site: SimSite) -> list[Route]:
    """Return the routes of the application behind its middleware."""
    app = site.bare_app
    while not isinstance(app, Starlette):
        app = app._app  # type: ignore[attr-defined]  # noqa: SLF001 - its routes
    return [route for route in app.routes if isinstance(route, Route)]


def test_mounts_are_files_only(site: SimSite) -> None:
    app = site.bare_app._app  # type: ignore[attr-defined]  # noqa: SLF001
    mounts: list[BaseRoute] = [each for each in app.routes if isinstance(each, Mount)]
    assert [getattr(mount, "path", "") for mount in mounts] == ["/static"]


def test_every_route_needs_a_role_or_is_known_to_be_public(site: SimSite) -> None:
    open_paths = {route.path for route in routes_of(site) if role_of(route) is None}
    assert open_paths == PUBLIC, "use permissions.needs(Role...)"
    assert set(PUBLIC_PATHS) == PUBLIC


def test_changes_need_more_than_looking(site: SimSite) -> None:
    """A viewer, also a screen in the hall, changes nothing but its own login."""
    own = {"/api/login", "/api/logout"}
    loose = {
        route.path
        for route in routes_of(site)
        if (route.methods or set()) - {"GET", "HEAD"}
        and (role_of(route) or Role.VIEWER) is Role.VIEWER
        and not route.path.startswith("/api/account/")
    }
    assert loose - own == set()


def role_of(route: Route) -> Role | None:
    return getattr(route.endpoint, "role", None)


def requests_of(site: SimSite) -> Iterator[tuple[str, str, Role]]:
    """Yield method, path and least role of all routes that are not public."""
    for route in routes_of(site):
        role = role_of(route)
        if role is None:
            continue
        path = route.path.replace("{event_id}", "stream:1")
        for name in route.param_convertors:
            path = path.replace(f"{{{name}}}", "1").replace(f"{{{name}:int}}", "1")
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield method, path, role


def test_every_role_gets_what_it_may_and_no_more(site: SimSite) -> None:
    add_users(site, **USERS)
    browsers = {name: logged_in(site, name) for name in USERS}
    stranger = SimBrowser(site.bare_app)
    for method, path, least in requests_of(site):
        for name, role in USERS.items():
            if path in ENDLESS and role >= least:
                continue
            status = status_of(browsers[name], method, path)
            where = f"{name}: {method} {path} {status}"
            assert (status == 403) == (role < least), where
            assert status != 401, where
            if path == "/api/logout":
                browsers[name] = logged_in(site, name)
        assert status_of(stranger, method, path) == 401, path


def status_of(browser: SimBrowser, method: str, path: str) -> int:
    if method == "GET":
        return browser.read(path).status
    return browser.post(path, {}).status


@pytest.mark.parametrize(
    "path", ["/wall/", "/api/alerts/", "/nothing", "/api", "/api/login/x", "/static"]
)
def test_strangers_do_not_learn_what_exists(site: SimSite, path: str) -> None:
    assert SimBrowser(site.bare_app).read(path).status == 401
