"""The routes of this area."""

from starlette.routing import BaseRoute

from dashboard.web.account.login import login_routes
from dashboard.web.account.own import own_routes
from dashboard.web.account.people import people_routes
from dashboard.web.account.plant import plant_routes
from dashboard.web.account.trail import trail_routes
from dashboard.web.site import Site


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    areas = (login_routes, own_routes, people_routes, plant_routes, trail_routes)
    return [route for area in areas for route in area(site)]
