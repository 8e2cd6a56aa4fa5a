"""What the pages of lines show of each station and camera."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from dashboard.history.maintenance import is_quiet, open_windows
from dashboard.history.model_orders import (
    answers_of,
    installing,
    order_of,
    unheard_stations,
)
from dashboard.history.queries import Json
from dashboard.history.settings import read_settings
from dashboard.history.state_log import StateChange, changes_of, models_of
from dashboard.history.timeline import Segment, segments, under_station
from dashboard.web.board import flashing_of
from models.messages import CameraState, DaemonState

MS_PER_HOUR = 3_600_000

STATION_STATES = {
    DaemonState.INIT: "init",
    DaemonState.READY: "ok",
    DaemonState.DEGRADED: "degraded",
    DaemonState.DISCONNECTED: "stopped",
    DaemonState.LOST: "lost",
}
CAMERA_STATES = {
    CameraState.UP: "ok",
    CameraState.DEGRADED: "degraded",
    CameraState.LOST: "lost",
    CameraState.ENDED: "ended",
}
# States of a station in which nothing is known of its cameras.
AWAY = ("lost", "stopped", "stale", "init")


@dataclass(frozen=True, slots=True)
class ShownState:
    """A state as the page shows it.

    Attributes:
        kind: ok, flashing, degraded, lost, stale, stopped, ended, init or unheard.
        since_ms: Wall clock of the collector, UTC; None: not known.
    """

    kind: str
    reason: str = ""
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class CameraView:
    """One camera."""

    camera: str
    name: str
    state: ShownState
    status: Json
    stats: Json
    last_alert: Json | None
    maintenance: Json | None  # the open window; None = there is none
    segments: Sequence[Segment] = ()


@dataclass(frozen=True, slots=True)
class StationView:
    """One station, which is one line PC.

    Attributes:
        place: Site, line and station.
        clock_ahead_ms: Its clock minus the collector's; None: not known.
        model_since_ms: When this dashboard first saw the model in force.
        missing: Events that are missing between others.
        flashing: See ``board.flashing_of``.
    """

    place: tuple[str, str, str]
    name: str
    line_name: str
    state: ShownState
    heard_ms: int | None
    status: Json
    cameras: Sequence[CameraView]
    missing: int
    maintenance: Json | None
    model_since_ms: int | None = None
    order: Json | None = None
    flashing: Json | None = None
    answer: Json | None = None
    segments: Sequence[Segment] = ()
    changes: Sequence[Json] = field(default=())

    @property
    def path(self) -> str:
        """``SITE/LINE/STATION``, valid in a URL."""
        return "/".join(self.place)

    @property
    def order_state(self) -> str:
        """What became of the desired model: empty, waiting, done, or refused."""
        if not self.order or not self.order["sha256"]:
            return ""
        model = self.status.get("model") or {}
        if model.get("sha256") == self.order["sha256"]:
            return "done"
        answer = self.answer or {}
        is_answer = answer.get("desired_sha256") == self.order["sha256"]
        is_refused = is_answer and answer.get("state") == "refused"
        return "refused" if is_refused else "waiting"


class LinesReader:
    """Reads what the pages show, in one transaction.

    Args:
        stations: As ``History.stations`` returns them. Those that were never heard,
            and for which a model was ordered, are added.
        stale_after_ms: Without a message for so long, a station is stale.
    """

    def __init__(
        self,
        connection: Connection,
        stations: Sequence[Json],
        now_ms: int,
        stale_after_ms: int,
    ) -> None:
        self._connection = connection
        self._stations = [*stations, *unheard_stations(connection)]
        self._now_ms, self._stale_after_ms = now_ms, stale_after_ms
        self._settings = read_settings(connection)
        self._windows = open_windows(connection, now_ms)
        self._installing = installing(connection, now_ms)

    def all(self, hours: int) -> list[StationView]:
        """Return every station, in the order of line and name.

        Args:
            hours: Length of the bars.
        """
        views = [self._view(row, hours) for row in self._stations]
        return sorted(views, key=lambda each: (each.line_name, each.name, each.place))

    def one(self, place: tuple[str, str, str], hours: int) -> StationView | None:
        """Return one station; None if there is none."""
        row = next((each for each in self._stations if place_of(each) == place), None)
        return self._view(row, hours) if row else None

    def _view(self, row: Json, hours: int) -> StationView:
        place = place_of(row)
        from_ms = self._now_ms - hours * MS_PER_HOUR
        changes = changes_of(self._connection, place, from_ms, self._now_ms + 1)
        own = changes.get("", [])
        flashing = flashing_of(row["status"], self._installing.get(place))
        state = self._station_state(row, own, flashing)
        bar = segments(own, from_ms, self._now_ms, row["heard_ms"])
        cameras = tuple(
            self._camera(each, state, changes, bar) for each in row["cameras"]
        )
        models = models_of(self._connection, place, 1)
        model = models[0] if models else None
        answers = answers_of(self._connection, place, 1)
        status = row["status"] or {}
        since_ms = model["at_ms"] if model else None
        is_same = model is not None and model["sha256"] == (
            status.get("model") or {}
        ).get("sha256")
        return StationView(
            place=place,
            name=self._settings.name_of(*place),
            line_name=self._settings.name_of(*place[:2]),
            state=state,
            heard_ms=row["heard_ms"],
            status=status,
            cameras=cameras,
            missing=row["missing"],
            maintenance=self._window(place, ""),
            model_since_ms=since_ms if is_same else None,
            order=order_of(self._connection, place),
            flashing=flashing,
            answer=answers[0] if answers else None,
            segments=bar,
            changes=listed_changes(changes),
        )

    def _camera(
        self,
        row: Json,
        station: ShownState,
        changes: Mapping[str, Sequence[StateChange]],
        station_bar: Sequence[Segment],
    ) -> CameraView:
        place, camera = place_of(row), row["camera"]
        own = changes.get(camera, [])
        from_ms = station_bar[0].from_ms if station_bar else self._now_ms
        bar = segments(own, from_ms, self._now_ms)
        return CameraView(
            camera=camera,
            name=self._settings.name_of(*place, camera),
            state=_camera_state(row, station, own),
            status=row["status"] or {},
            stats=row["stats"] or {},
            last_alert=row["last_alert"],
            maintenance=self._window(place, camera),
            segments=under_station(bar, station_bar),
        )

    def _station_state(
        self, row: Json, changes: Sequence[StateChange], flashing: Json | None
    ) -> ShownState:
        status, heard_ms = row["status"] or {}, row["heard_ms"]
        kind = STATION_STATES.get(status.get("state", ""), "init")
        since_ms = changes[-1].at_ms if changes else row["said_ms"]
        if kind in {"lost", "stopped"}:
            return ShownState(kind, status.get("reason", ""), since_ms)
        if heard_ms is None or self._now_ms - heard_ms > self._stale_after_ms:
            is_heard = heard_ms is not None or row["status"] is not None
            return ShownState("stale" if is_heard else "unheard", "", heard_ms)
        if kind == "ok" and flashing:
            return ShownState("flashing", flashing["reason"])
        return ShownState(kind, status.get("reason", ""), since_ms)

    def _window(self, place: tuple[str, str, str], camera: str) -> Json | None:
        """Return the open window of a camera, or that of its whole station."""
        for window in reversed(self._windows):
            where = frozenset([(*place_of(window), window["camera"])])
            if is_quiet(where, (*place, camera)):
                return window
        return None


def place_of(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return site, line and station of a row."""
    return row["site"], row["line"], row["station"]


def listed_changes(changes: Mapping[str, Sequence[StateChange]]) -> list[Json]:
    """Return the changes of a station and its cameras as one list, newest first."""
    rows = [
        {
            "camera": camera,
            "at_ms": each.at_ms,
            "state": each.state,
            "reason": each.reason,
        }
        for camera, them in changes.items()
        for each in them
    ]
    return sorted(rows, key=lambda row: -row["at_ms"])


def _camera_state(
    row: Json, station: ShownState, changes: Sequence[StateChange]
) -> ShownState:
    if station.kind in AWAY:
        return ShownState(station.kind, station.reason, station.since_ms)
    status = row["status"] or {}
    kind = CAMERA_STATES.get(status.get("state", ""), "init")
    since_ms = changes[-1].at_ms if changes else None
    return ShownState(kind, status.get("reason", ""), since_ms)
