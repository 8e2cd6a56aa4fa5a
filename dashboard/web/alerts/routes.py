"""The routes of this area."""

from starlette.routing import BaseRoute

from dashboard.web.site import Site


def routes(_site: Site) -> list[BaseRoute]:
    """Return the routes."""
    return []
