"""What operators change on the page: limits, shifts, time zone and names of the plant.

The rest is in the TOML file, see ``dashboard.config``.
"""

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from dashboard.plant_time import (
    MINUTES_PER_DAY,
    SHIFTS_MAX,
    faults_of,
    is_zone,
    minute_of_day,
)
from models.config import Settings
from models.topics import NAME_PATTERN

DEFAULT_ZONE: Final = "UTC"
CAMERAS_MAX: Final = 2000
NAMES_MAX: Final = 5000
NAME_MAX_CHARS: Final = 60
MINUTES_DEFAULT: Final = 8 * 60
MINUTES_MAX: Final = 7 * MINUTES_PER_DAY
_NAME: Final = NAME_PATTERN.strip("^$")
# site/line, site/line/station, site/line/station/camera
PLACE_PATTERN: Final = rf"^{_NAME}(/{_NAME}){{1,3}}$"
CAMERA_PATTERN: Final = rf"^{_NAME}(/{_NAME}){{3}}$"
TIME_PATTERN: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def _zone(name: str) -> str:
    if not is_zone(name):
        raise ValueError(f"{name!r} is no time zone such as Europe/Berlin")
    return name


def _time_of_day(text: str) -> str:
    if not re.fullmatch(TIME_PATTERN, text):
        raise ValueError(f"{text!r} is no time of day such as 06:00")
    return text


def _one_line(text: str) -> str:
    text = text.strip()
    if not text or not text.isprintable():
        raise ValueError("a name has at least one character, and none that is unseen")
    return text


ShownName = Annotated[
    str, Field(min_length=1, max_length=NAME_MAX_CHARS), AfterValidator(_one_line)
]
ClockTime = Annotated[
    str,
    AfterValidator(_time_of_day),
    Field(json_schema_extra={"pattern": TIME_PATTERN}),
]
CameraKey = Annotated[str, Field(pattern=CAMERA_PATTERN)]
PlaceKey = Annotated[str, Field(pattern=PLACE_PATTERN)]


class Shift(Settings):
    """A shift of every day, in the plant's zone."""

    name: ShownName = Field(description="Name, for example Early.")
    start: ClockTime = Field(description="HH:MM, the first minute.")
    end: ClockTime = Field(
        description="HH:MM, the minute after the last; earlier than the start: on the "
        "next day; equal to it: 24 hours later."
    )

    @property
    def minutes(self) -> int:
        """Its length on a day of 24 hours, 1 to 1440."""
        length = minute_of_day(self.end) - minute_of_day(self.start)
        return length % MINUTES_PER_DAY or MINUTES_PER_DAY


class CameraLimit(Settings):
    """What raises the alarm of a camera on the wall; without both, nothing does."""

    defect_percent: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="Share of defective parts in percent that raises the alarm; null = "
        "off.",
    )
    streak: int | None = Field(
        default=None,
        ge=2,
        le=1000,
        description="Number of defective parts one after the other that raises the "
        "alarm; null = off.",
    )
    hysteresis: float = Field(
        default=0,
        ge=0,
        lt=100,
        description="Percentage points below defect_percent at which the alarm ends.",
    )
    parts: int = Field(
        default=100,
        ge=10,
        le=2000,
        description="The alarm looks at so many of the last parts, ...",
    )
    minutes: int = Field(
        default=MINUTES_DEFAULT,
        ge=1,
        le=MINUTES_MAX,
        description="... and at no part that is older than this.",
    )

    @property
    def is_set(self) -> bool:
        """Whether it can raise an alarm."""
        return self.defect_percent is not None or self.streak is not None

    @model_validator(mode="after")
    def _can_end(self) -> Self:
        if self.defect_percent is not None and self.hysteresis >= self.defect_percent:
            raise ValueError("hysteresis must be less than defect_percent")
        return self


class PlantSettings(Settings):
    """All settings of the page."""

    zone: Annotated[str, AfterValidator(_zone)] = Field(
        default=DEFAULT_ZONE,
        max_length=64,
        description="Time zone of the plant, as the IANA names it: Europe/Berlin.",
    )
    language: str = Field(
        default="",
        pattern=r"^([a-z]{2,3})?$",
        description="Language of pages whose user has not chosen one; empty = the "
        "browser's.",
    )
    shifts: tuple[Shift, ...] = Field(
        default=(),
        max_length=SHIFTS_MAX,
        description="The shifts of every day, which do not overlap.",
    )
    default_limit: CameraLimit = Field(
        default=CameraLimit(),
        description="Alarms of the cameras that are not in limits.",
    )
    limits: dict[CameraKey, CameraLimit] = Field(
        default={},
        max_length=CAMERAS_MAX,
        description="Alarms of the wall, by site/line/station/camera.",
    )
    names: dict[PlaceKey, ShownName] = Field(
        default={},
        max_length=NAMES_MAX,
        description="Names to show, by site/line, site/line/station or "
        "site/line/station/camera.",
    )

    @model_validator(mode="after")
    def _shifts_differ(self) -> Self:
        if faults := faults_of(self.zone, self.shifts):
            raise ValueError(" ".join(faults))
        return self

    def limit_of(self, *camera: str) -> CameraLimit:
        """Return the limits of a camera.

        Args:
            camera: Site, line, station and camera.
        """
        return self.limits.get("/".join(camera), self.default_limit)

    @property
    def has_limits(self) -> bool:
        """Whether any camera can raise an alarm."""
        return any(each.is_set for each in self._all_limits)

    @property
    def alarm_minutes_max(self) -> int:
        """The age of the oldest part that an alarm looks at, minutes."""
        return max(each.minutes for each in self._all_limits)

    @property
    def _all_limits(self) -> tuple[CameraLimit, ...]:
        return self.default_limit, *self.limits.values()

    def name_of(self, *place: str) -> str:
        """Return the name to show for a line, station or camera.

        Args:
            place: Site, line, station and camera, as far as they are meant.
        """
        return self.names.get("/".join(place), place[-1])
