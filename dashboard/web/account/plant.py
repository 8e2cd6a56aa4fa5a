"""The settings of the plant, for engineers."""

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard.access.plant_changes import (
    SettingsChange,
    SettingsOutdatedError,
    change_settings,
)
from dashboard.access.roles import Role
from dashboard.history.settings import SettingsVersion, current_version
from dashboard.plant_settings import NAME_MAX_CHARS, CameraLimit
from dashboard.plant_time import SHIFTS_MAX, zones
from dashboard.status import now_ms
from dashboard.web.account.times import ShownTimes
from dashboard.web.api import as_json
from dashboard.web.permissions import known_identity, needs
from dashboard.web.site import Site, read_body


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """A line, station or camera on the page.

    Attributes:
        key: ``site/line``, ``site/line/station``, or with the camera.
        depth: 2 = line, 3 = station, 4 = camera.
        name: The one to show; empty = that of its topics.
        limit: The one that counts for a camera.
        has_own_limit: Whether it is not the one of all others.
    """

    key: str
    depth: int
    name: str
    limit: CameraLimit
    has_own_limit: bool

    @property
    def own_name(self) -> str:
        """The name in its topics."""
        return self.key.rpartition("/")[2]


class PlantRoutes:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site, self._database = site, site.database

    @needs(Role.ENGINEER)
    def page(self, request: Request) -> Response:
        """``GET /settings``: zone, shifts, limits and names."""
        version = self._version()
        return self._site.renderer.page(
            request,
            "account/plant.html",
            areas=("account",),
            version=version,
            settings=version.settings,
            places=self._places(version),
            zones=sorted(zones()),
            shifts_max=SHIFTS_MAX,
            name_max=NAME_MAX_CHARS,
            times=ShownTimes(self._database),
        )

    def _version(self) -> SettingsVersion:
        with self._database.read() as connection:
            return current_version(connection)

    def _places(self, version: SettingsVersion) -> list[PlaceRow]:
        """Return all places that have sent something, or that have a setting."""
        settings = version.settings
        keys = {*settings.names, *settings.limits}
        for station in self._site.history.stations(now_ms()):
            place = (station["site"], station["line"], station["station"])
            keys |= {"/".join(place)}
            keys |= {"/".join((*place, each["camera"])) for each in station["cameras"]}
        keys |= {"/".join(key.split("/")[:depth]) for key in keys for depth in (2, 3)}
        ordered = sorted(keys, key=lambda key: key.split("/"))
        return [
            PlaceRow(
                key,
                key.count("/") + 1,
                settings.names.get(key, ""),
                settings.limits.get(key, settings.default_limit),
                key in settings.limits,
            )
            for key in ordered
        ]

    @needs(Role.VIEWER)
    def read(self, _request: Request) -> Response:
        """``GET /api/settings``: what is in force, and its version."""
        version = self._version()
        return as_json(_shown(version))

    @needs(Role.ENGINEER)
    async def change(self, request: Request) -> Response:
        """``POST /api/settings``: change what is given, see ``SettingsChange``.

        Returns:
            409 = somebody else has changed them since ``version``.
        """
        change = await read_body(request, SettingsChange)
        by = known_identity(request).user.name

        def write() -> SettingsVersion:
            with self._database.write() as connection:
                return change_settings(connection, by, change)

        try:
            version = await run_in_threadpool(write)
        except SettingsOutdatedError as exc:
            raise HTTPException(
                409, "the settings have been changed meanwhile: reload"
            ) from exc
        self._site.broadcaster.note_change()
        return as_json(_shown(version))


def _shown(version: SettingsVersion) -> dict[str, object]:
    settings = version.settings.model_dump(mode="json")
    return {"version": version.n, "at_ms": version.at_ms, "user": version.user} | (
        settings
    )


def plant_routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""
    handlers = PlantRoutes(site)
    return [
        Route("/settings", handlers.page),
        Route("/api/settings", handlers.read),
        Route("/api/settings", handlers.change, methods=["POST"]),
    ]
