"""The settings of the plant: read, and kept in versions."""

import json
import logging
from dataclasses import dataclass

from pydantic import ValidationError
from sqlalchemy import Connection, insert, select

from dashboard.history.tables.settings import versions
from dashboard.plant_settings import PlantSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SettingsVersion:
    """Settings, and since when they are in force.

    Attributes:
        n: Counts up with each change; 0 = the defaults.
        user: Who changed them; empty for the defaults.
    """

    n: int
    at_ms: int
    user: str
    settings: PlantSettings


def read_settings(connection: Connection) -> PlantSettings:
    """Return the settings in force."""
    return current_version(connection).settings


def current_version(connection: Connection) -> SettingsVersion:
    """Return the settings in force, with their version."""
    last = select(versions).order_by(versions.c.n.desc()).limit(1)
    row = connection.execute(last).first()
    if row is None:
        return SettingsVersion(0, 0, "", PlantSettings())
    return SettingsVersion(row.n, row.at_ms, row.user, _parse(row.content))


def add_version(
    connection: Connection, n: int, at_ms: int, user: str, settings: PlantSettings
) -> None:
    """Put settings in force.

    Args:
        n: One more than that of ``current_version`` in the same transaction.
    """
    content = settings.model_dump_json(exclude_defaults=True)
    row = {"n": n, "at_ms": at_ms, "user": user, "content": content}
    connection.execute(insert(versions).values(**row))


def _parse(content: str) -> PlantSettings:
    """Return stored settings; what this program does not know has its default.

    A newer version may have written them, or a time zone may have been removed.
    """
    stored = json.loads(content)
    try:
        return PlantSettings.model_validate(stored)
    except ValidationError as exc:
        faulty = {str(error["loc"][0]) for error in exc.errors() if error["loc"]}
        logger.warning("settings_unreadable fields=%s", ",".join(sorted(faulty)))
        kept = {key: value for key, value in stored.items() if key not in faulty}
        return PlantSettings.model_validate(kept if faulty else {})
