"""The routes of this area."""

from starlette.routing import BaseRoute

from dashboard.web.account.login import login_routes
from dashboard.web.site import Site


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    return [*login_routes(site)]
