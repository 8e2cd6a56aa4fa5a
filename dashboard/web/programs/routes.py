"""The routes of this area."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.access.roles import Role
from dashboard.web.api import as_json
from dashboard.web.permissions import METRICS_PATH, needs
from dashboard.web.programs.figures import DashboardFigures
from dashboard.web.programs.openapi import describe
from dashboard.web.site import Site


class Programs:
    """The handlers of the routes."""

    def __init__(self, site: Site, others: Iterable[BaseRoute]) -> None:
        self._figures = DashboardFigures(site)
        self._others = [*others]
        self.is_public = site.settings.server.public_metrics

    @needs(Role.VIEWER)
    def metrics(self, request: Request) -> Response:
        """``GET /metrics``: figures for Prometheus.

        With ``[server] public_metrics`` they need no token.
        """
        return self.public_metrics(request)

    def public_metrics(self, _request: Request) -> Response:
        """``GET /metrics``: figures for Prometheus."""
        content = self._figures.render()
        headers = {"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"}
        return Response(content, headers=headers)

    @needs(Role.VIEWER)
    def openapi(self, _request: Request) -> Response:
        """``GET /api/openapi.json``: this description, OpenAPI 3.1."""
        return as_json(describe([*self._others, *self.routes()]))

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        metrics = self.public_metrics if self.is_public else self.metrics
        return [
            Route(METRICS_PATH, metrics),
            Route("/api/openapi.json", self.openapi),
        ]
