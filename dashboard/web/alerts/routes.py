"""The routes of this area."""

from starlette.routing import BaseRoute, Route

from dashboard.web.alerts.changes import AlertChanges
from dashboard.web.alerts.full_pictures import FullPictures
from dashboard.web.alerts.pages import AlertPages
from dashboard.web.alerts.picture_requests import PictureRequests
from dashboard.web.site import Site


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    pages, changes = AlertPages(site), AlertChanges(site)
    fetched = FullPictures(site.outgoing, site.database, site.settings.history)
    pictures = PictureRequests(site, fetched)
    return [
        Route("/alerts", pages.list_page),
        Route("/alerts.csv", pages.csv),
        Route("/alerts/{event_id}", pages.alert_page),
        Route("/api/alert-list", pages.list_json),
        Route("/api/alert-count", pages.count),
        Route("/api/alerts/{event_id}/reviews", changes.reviews),
        *pictures.routes(),
        Route("/api/reviews", changes.review, methods=["POST"]),
        Route("/api/shelves", changes.shelves),
        Route("/api/shelves", changes.shelve, methods=["POST"]),
        Route("/api/shelves/{k}/end", changes.end_shelf, methods=["POST"]),
    ]
