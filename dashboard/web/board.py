"""Adds to the state of the line what the plant's settings say about it. Pure."""

from collections.abc import Collection, Iterable, Mapping

from dashboard.history.alarms import AlarmState, Where
from dashboard.history.maintenance import is_quiet
from dashboard.history.queries import Json
from dashboard.plant_settings import PlantSettings


def shown_stations(
    stations: Iterable[Json],
    settings: PlantSettings,
    quiet: Collection[Where],
    installing: Mapping[tuple[str, ...], str],
) -> list[Json]:
    """Return stations with the names to show, and cameras with limits.

    Args:
        stations: As ``History.stations`` returns them.
        quiet: Cameras in maintenance, see ``quiet_cameras``.
        installing: Stations whose agent installs a package, see ``model_orders``.
    """
    return [
        {
            **station,
            "line_name": settings.name_of(station["site"], station["line"]),
            "station_name": settings.name_of(*_station(station)),
            "flashing": flashing_of(
                station["status"], installing.get(_station(station))
            ),
            "cameras": [
                _shown_camera(camera, settings, quiet) for camera in station["cameras"]
            ],
        }
        for station in stations
    ]


def flashing_of(status: Json | None, installing: str | None) -> Json | None:
    """Return what flashing does on a line PC now; None = nothing.

    Args:
        status: Its last ``StationStatus``.
        installing: What its agent says while it installs; None = it does not.

    Returns:
        ``kind`` (``trial`` or ``installing``) and the ``reason``, which may be empty.
    """
    if status and status.get("in_trial"):
        return {"kind": "trial", "reason": status.get("flashing", "")}
    if installing is not None:
        return {"kind": "installing", "reason": installing}
    return None


def shown_alarms(alarms: Iterable[AlarmState], settings: PlantSettings) -> list[Json]:
    """Return alarms with the names of their cameras."""
    return [
        {**alarm.as_json(), "place": place_of(alarm.where, settings)}
        for alarm in alarms
    ]


def place_of(where: Where, settings: PlantSettings) -> str:
    """Return the names to show of a camera with its line and station."""
    return " \u00b7 ".join(settings.name_of(*where[:depth]) for depth in (2, 3, 4))


def _shown_camera(
    camera: Json, settings: PlantSettings, quiet: Collection[Where]
) -> Json:
    where = (*_station(camera), camera["camera"])
    limit = settings.limit_of(*where)
    return {
        **camera,
        "name": settings.name_of(*where),
        "limit": {"defect_percent": limit.defect_percent, "streak": limit.streak},
        "in_maintenance": is_quiet(quiet, where),
    }


def _station(row: Json) -> tuple[str, str, str]:
    return row["site"], row["line"], row["station"]
