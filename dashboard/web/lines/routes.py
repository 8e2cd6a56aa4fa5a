"""The pages of lines: line PCs and cameras, their states, models and maintenance.

``/lines`` shows all, ``/lines/SITE/LINE/STATION`` one; ``?hours=`` is the length of the
bars.
"""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.access.roles import Role
from dashboard.history.maintenance import windows_of
from dashboard.history.model_orders import answers_of
from dashboard.history.settings import read_settings
from dashboard.history.state_log import models_of
from dashboard.history.timeline import availability, downtimes, lengths
from dashboard.plant_settings import PlantSettings
from dashboard.plant_time import PlantTime
from dashboard.status import now_ms
from dashboard.web.api import as_json
from dashboard.web.language import language_of
from dashboard.web.lines.bars import HEIGHT, WIDTH, bar
from dashboard.web.lines.changes import LineChanges, topics_of
from dashboard.web.lines.pictures import LivePictures
from dashboard.web.lines.view import LinesReader, StationView, place_of
from dashboard.web.lines.wording import Wording
from dashboard.web.permissions import needs, user_of
from dashboard.web.site import Site

HOURS = (8, 24, 72, 168)
USUAL_HOURS = 24
CHANGES_LISTED = 100
STATION = "/{site}/{line}/{station}"


class LinePages:
    """The handlers of the pages."""

    def __init__(self, site: Site, pictures: LivePictures) -> None:
        self._site, self._pictures = site, pictures

    @needs(Role.VIEWER)
    def overview(self, request: Request) -> Response:
        """``GET /lines``: every line PC with its cameras."""
        hours, at_ms = _hours(request), now_ms()
        stations = self._site.history.stations(at_ms)
        with self._site.database.read() as connection:
            reader = LinesReader(connection, stations, at_ms, self._stale_ms)
            views = reader.all(hours)
            wording = self._wording(request, at_ms, read_settings(connection))
        by_line: dict[tuple[str, str], list[StationView]] = {}
        for view in views:
            by_line.setdefault(view.place[:2], []).append(view)
        return self._site.renderer.page(
            request,
            "lines/overview.html",
            areas=("lines",),
            lines=by_line,
            hours=hours,
            all_hours=HOURS,
            words=wording,
            bar=bar,
            bar_size=(WIDTH, HEIGHT),
            availability=availability,
        )

    @needs(Role.VIEWER)
    def station(self, request: Request) -> Response:
        """``GET /lines/SITE/LINE/STATION``: one line PC."""
        hours, at_ms = _hours(request), now_ms()
        view, details = self._one(request, hours, at_ms)
        user = user_of(request)
        return self._site.renderer.page(
            request,
            "lines/station.html",
            areas=("lines",),
            station=view,
            hours=hours,
            all_hours=HOURS,
            bar=bar,
            bar_size=(WIDTH, HEIGHT),
            availability=availability,
            downtimes=downtimes,
            may_operate=user is not None and user.role >= Role.OPERATOR,
            may_engineer=user is not None and user.role >= Role.ENGINEER,
            pictures={
                each.camera: self._pictures.get((*view.place, each.camera))
                for each in view.cameras
            },
            **details,
        )

    def _one(
        self, request: Request, hours: int, at_ms: int
    ) -> tuple[StationView, dict[str, Any]]:
        topics = topics_of(request)
        place = (topics.site, topics.line, topics.station)
        stations = self._site.history.stations(at_ms)
        known = {
            model["sha256"]: model
            for each in stations
            if (model := (each["status"] or {}).get("model"))
        }
        mine = [each for each in stations if place_of(each) == place]
        with self._site.database.read() as connection:
            reader = LinesReader(connection, mine, at_ms, self._stale_ms)
            view = reader.one(place, hours)
            if view is None:
                raise HTTPException(404, "no such station")
            return view, {
                "models": models_of(connection, place),
                "answers": answers_of(connection, place),
                "windows": windows_of(connection, place),
                "known_models": list(known.values()),
                "changes": view.changes[:CHANGES_LISTED],
                "words": self._wording(request, at_ms, read_settings(connection)),
            }

    @needs(Role.VIEWER)
    def all_json(self, request: Request) -> Response:
        """``GET /api/lines?hours=24``: every line PC with its cameras, as JSON."""
        hours, at_ms = _hours(request), now_ms()
        stations = self._site.history.stations(at_ms)
        with self._site.database.read() as connection:
            reader = LinesReader(connection, stations, at_ms, self._stale_ms)
            views = reader.all(hours)
        return as_json(
            {"now_ms": at_ms, "hours": hours, "stations": [*map(_as_json, views)]}
        )

    @needs(Role.VIEWER)
    def one_json(self, request: Request) -> Response:
        """``GET /api/lines/SITE/LINE/STATION``: one line PC, as JSON."""
        hours, at_ms = _hours(request), now_ms()
        view, details = self._one(request, hours, at_ms)
        shown = ("models", "answers", "windows", "changes")
        return as_json(_as_json(view) | {name: details[name] for name in shown})

    @property
    def _stale_ms(self) -> int:
        return round(self._site.settings.page.stale_after_s * 1000)

    def _wording(
        self, request: Request, at_ms: int, settings: PlantSettings
    ) -> Wording:
        plant = PlantTime(settings.zone, settings.shifts)
        return Wording(language_of(request), plant, at_ms)


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    pictures = LivePictures()
    lines, changes = LinePages(site, pictures), LineChanges(site, pictures)
    api = f"/api/lines{STATION}"
    posts = {
        f"{api}/desired": changes.desire,
        f"{api}/desired/take-back": changes.take_back,
        f"{api}/maintenance": changes.start_maintenance,
        f"{api}/maintenance/end": changes.end_maintenance,
        f"{api}/name": changes.rename,
        f"{api}/forget": changes.forget,
        f"{api}/pictures": changes.take_picture,
    }
    return [
        Route("/lines", lines.overview),
        Route(f"/lines{STATION}", lines.station),
        Route("/api/lines", lines.all_json),
        Route(api, lines.one_json),
        Route(f"{api}/pictures/{{camera}}", changes.picture),
        *(Route(path, call, methods=["POST"]) for path, call in posts.items()),
    ]


def _hours(request: Request) -> int:
    text = request.query_params.get("hours", str(USUAL_HOURS))
    if text not in {str(hours) for hours in HOURS}:
        raise HTTPException(400, f"hours: one of {', '.join(map(str, HOURS))}")
    return int(text)


def _as_json(view: StationView) -> dict[str, object]:
    site, line, station = view.place
    return {
        "site": site,
        "line": line,
        "station": station,
        "name": view.name,
        "state": view.state.kind,
        "reason": view.state.reason,
        "since_ms": view.state.since_ms,
        "heard_ms": view.heard_ms,
        "status": view.status,
        "missing": view.missing,
        "maintenance": view.maintenance,
        "model_since_ms": view.model_since_ms,
        "desired": view.order,
        "desired_state": view.order_state,
        "answer": view.answer,
        "flashing": view.flashing,
        "state_ms": lengths(view.segments),
        "availability": availability(view.segments),
        "cameras": [
            {
                "camera": each.camera,
                "name": each.name,
                "state": each.state.kind,
                "reason": each.state.reason,
                "since_ms": each.state.since_ms,
                "status": each.status,
                "stats": each.stats,
                "maintenance": each.maintenance,
                "state_ms": lengths(each.segments),
                "availability": availability(each.segments),
            }
            for each in view.cameras
        ],
    }
