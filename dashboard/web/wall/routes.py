"""The wall: all cameras at a glance, for a screen above the line and for a phone.

The scheme of its URLs is documented in docs/how-to/wall.md and stays.
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.access.roles import Role
from dashboard.web.permissions import needs
from dashboard.web.site import Site


class Wall:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @needs(Role.VIEWER)
    def page(self, request: Request) -> Response:
        """``GET /wall``: a tile for each camera, live."""
        return self._site.renderer.page(request, "wall/wall.html", areas=("wall",))

    def home(self, request: Request) -> Response:
        """``GET /``: leads to the wall."""
        query = request.url.query
        return RedirectResponse(f"/wall?{query}" if query else "/wall", 303)


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    wall = Wall(site)
    return [Route("/", wall.home), Route("/wall", wall.page)]
