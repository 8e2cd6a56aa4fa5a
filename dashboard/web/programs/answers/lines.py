"""Answers about stations, cameras, models and maintenance, and the charts of them."""

from pydantic import BaseModel, Field

from dashboard.web.programs.answers.alerts import AlertAnswer
from dashboard.web.programs.answers.collector import (
    DoneAnswer,
    EmptyAnswer,
    ShownAlarmAnswer,
    StatusAnswer,
)
from models.messages import CameraStats, CameraStatus, StationStatus


class RateAnswer(BaseModel):
    """Alerts over time."""

    start_s: list[int] = Field(description="Start of each step, Unix seconds.")
    alerts: list[int]
    per_minute: list[float]
    step_s: float


class ClassCountAnswer(BaseModel):
    """Defects of one class."""

    label: str
    count: int
    share: float = Field(description="Cumulated, 0 to 1.")


class ParetoAnswer(BaseModel):
    """Defects by class, the most frequent first."""

    classes: list[ClassCountAnswer]
    other: int
    total: int


class NoteSavedAnswer(BaseModel):
    """The note is kept."""

    saved: bool


class RecheckedAnswer(BaseModel):
    """The number of the entry."""

    recheck: int


class FlashingAnswer(BaseModel):
    """What flashing does on a line PC."""

    kind: str = Field(pattern="^(trial|installing)$")
    reason: str


class ShownLimitAnswer(BaseModel):
    """What raises the alarm of a camera."""

    defect_percent: float | None
    streak: int | None


class CameraAnswer(BaseModel):
    """A camera with its last messages and counters."""

    site: str
    line: str
    station: str
    camera: str
    name: str
    heard_ms: int | None
    status: CameraStatus | None
    stats: CameraStats | None
    alerts_last_hour: int
    alerts_per_minute: float
    verdicts_last_hour: dict[str, int]
    last_alert: AlertAnswer | None
    limit: ShownLimitAnswer
    in_maintenance: bool


class StationAnswer(BaseModel):
    """A station with its cameras."""

    site: str
    line: str
    station: str
    line_name: str
    station_name: str
    heard_ms: int | None
    said_ms: int | None
    status: StationStatus | None
    flashing: FlashingAnswer | None
    missing: int
    cameras: list[CameraAnswer]


class CamerasAnswer(StatusAnswer):
    """The state of everything."""

    stations: list[StationAnswer]


class AlarmsAnswer(BaseModel):
    """The open alarms, and the last ones of all."""

    open: list[ShownAlarmAnswer]
    last: list[ShownAlarmAnswer]


class WindowAnswer(BaseModel):
    """A maintenance window; an empty camera is the whole station."""

    n: int
    site: str
    line: str
    station: str
    camera: str
    from_ms: int
    until_ms: int
    user: str
    reason: str
    ended_by: str


class OrderAnswer(BaseModel):
    """The model that is ordered for a station; an empty sha256: it was taken back."""

    site: str
    line: str
    station: str
    at_ms: int
    user: str
    name: str
    build: int
    sha256: str
    url: str


class ModelAnswer(BaseModel):
    """What the agent of a station answered."""

    n: int
    site: str
    line: str
    station: str
    at_ms: int
    state: str
    desired_sha256: str
    model: str
    reason: str
    refusal: str


class LineCameraAnswer(BaseModel):
    """A camera with its states of some hours."""

    camera: str
    name: str
    state: str
    reason: str
    since_ms: int | None
    status: CameraStatus | EmptyAnswer
    stats: CameraStats | EmptyAnswer
    maintenance: WindowAnswer | None
    state_ms: dict[str, int]
    availability: float | None


class LinePcAnswer(BaseModel):
    """A line PC with its states of some hours."""

    site: str
    line: str
    station: str
    name: str
    state: str
    reason: str
    since_ms: int | None
    heard_ms: int | None
    status: StationStatus | EmptyAnswer
    missing: int
    maintenance: WindowAnswer | None
    model_since_ms: int | None
    desired: OrderAnswer | None
    desired_state: str
    answer: ModelAnswer | None
    flashing: FlashingAnswer | None
    state_ms: dict[str, int]
    availability: float | None
    cameras: list[LineCameraAnswer]


class LinePcsAnswer(BaseModel):
    """Every line PC."""

    now_ms: int
    hours: int
    stations: list[LinePcAnswer]


class ModelChangeAnswer(BaseModel):
    """A model that a station has run."""

    n: int
    site: str
    line: str
    station: str
    at_ms: int
    name: str
    build: int
    sha256: str
    variant: str


class StateEntryAnswer(BaseModel):
    """A change of state; an empty camera is the station."""

    camera: str
    at_ms: int
    state: str
    reason: str


class LinePcDetailsAnswer(LinePcAnswer):
    """One line PC with its log."""

    models: list[ModelChangeAnswer]
    answers: list[ModelAnswer]
    windows: list[WindowAnswer]
    changes: list[StateEntryAnswer]


class MaintenanceStartedAnswer(BaseModel):
    """When the window ends."""

    until_ms: int


class MaintenanceEndedAnswer(BaseModel):
    """How many windows have ended."""

    ended: int


class ForgottenAnswer(DoneAnswer):
    """It is forgotten."""

    warning: str = Field(description="Why Home Assistant still shows it, or empty.")


class LivePictureAnswer(BaseModel):
    """Where the picture is."""

    url: str
    at_ms: int
