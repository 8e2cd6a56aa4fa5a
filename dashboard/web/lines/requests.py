"""The bodies of requests that change something on a station."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dashboard.history.maintenance import LONGEST_MS, REASON_MAX_CHARS
from dashboard.plant_settings import NAME_MAX_CHARS
from models.topics import NAME_PATTERN

MS_PER_MINUTE = 60_000
# Empty = the whole station.
CameraOrAll = Annotated[
    str, Field(default="", pattern=rf"^({NAME_PATTERN.strip('^$')})?$")
]
Trimmed = StringConstraints(strip_whitespace=True)


class _Body(BaseModel):
    """Immutable; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CameraRequest(_Body):
    """A change that needs a camera, or nothing but the station."""

    camera: CameraOrAll


class MaintenanceRequest(CameraRequest):
    """Start of a maintenance window."""

    minutes: int = Field(ge=1, le=LONGEST_MS // MS_PER_MINUTE)
    reason: Annotated[str, Trimmed] = Field(min_length=1, max_length=REASON_MAX_CHARS)


class NameRequest(CameraRequest):
    """Another name to show; empty = the name in the topic."""

    name: Annotated[str, Trimmed] = Field(max_length=NAME_MAX_CHARS)
