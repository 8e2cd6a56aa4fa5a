"""Changes of the plant's settings: checked as a whole, kept in versions, audited."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field, ValidationError
from sqlalchemy import Connection

from dashboard.access import audit
from dashboard.history.settings import SettingsVersion, add_version, current_version
from dashboard.plant_settings import CameraLimit, PlantSettings, Shift
from dashboard.status import now_ms
from models.config import Settings, faults_in_words
from models.errors import ConfigError

FAULT_MAX_CHARS: Final = 300
WHOLE: Final = ("zone", "language", "shifts", "default_limit")
BY_PLACE: Final = ("limits", "names")


class SettingsChange(Settings):
    """What is to be set; what is left out stays as it is."""

    version: int = Field(ge=0, description="The one that was read.")
    zone: str | None = None
    language: str | None = None
    shifts: tuple[Shift, ...] | None = None
    default_limit: CameraLimit | None = None
    limits: dict[str, CameraLimit | None] = Field(
        default={}, description="By camera; null = the default limit counts."
    )
    names: dict[str, str | None] = Field(
        default={}, description="By place; null removes the name."
    )


class SettingsOutdatedError(Exception):
    """Somebody else has changed the settings meanwhile."""


def change_settings(
    connection: Connection, by: str, change: SettingsChange
) -> SettingsVersion:
    """Put a change in force, and return the settings.

    Nothing is kept where nothing differs.

    Args:
        connection: From ``Database.write``.
        by: Name of the user who does it.

    Raises:
        ConfigError: A value is not accepted.
        SettingsOutdatedError: It was made for another version.
    """
    current = current_version(connection)
    if current.n != change.version:
        raise SettingsOutdatedError
    before = current.settings.model_dump(mode="json")
    after = {**before}
    for field in WHOLE:
        if field in change.model_fields_set:
            after[field] = change.model_dump(mode="json")[field]
    for field in BY_PLACE:
        wanted = change.model_dump(mode="json")[field]
        merged = {**before[field], **wanted}
        after[field] = {
            key: value for key, value in merged.items() if value is not None
        }
    settings = _checked(after)
    after = settings.model_dump(mode="json")
    if after == before:
        return current
    at_ms = now_ms()
    add_version(connection, current.n + 1, at_ms, by, settings)
    for field, details in _differences(before, after):
        audit.append(connection, by, "settings.change", field, details)
    return SettingsVersion(current.n + 1, at_ms, by, settings)


def _checked(content: Mapping[str, Any]) -> PlantSettings:
    try:
        return PlantSettings.model_validate(content)
    except ValidationError as exc:
        raise ConfigError(
            faults_in_words(exc, PlantSettings)[:FAULT_MAX_CHARS]
        ) from exc


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """Return what differs, by field or by field and place, old and new."""
    found: list[tuple[str, dict[str, Any]]] = []
    for field in before:
        if field not in BY_PLACE:
            if before[field] != after[field]:
                details = {"before": before[field], "after": after[field]}
                found.append((field, details))
            continue
        for place in sorted({*before[field], *after[field]}):
            old, new = before[field].get(place), after[field].get(place)
            if old != new:
                found.append((f"{field} {place}", {"before": old, "after": new}))
    return found
