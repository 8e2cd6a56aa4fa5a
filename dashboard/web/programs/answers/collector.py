"""Answers about the collector, its alarms and the totals of the history."""

from pydantic import BaseModel, Field


class EmptyAnswer(BaseModel):
    """It is done."""


class DoneAnswer(BaseModel):
    """It is done."""

    done: bool


class BrokerStateAnswer(BaseModel):
    """The connection to the broker."""

    address: str
    is_up: bool
    since_ms: int
    reason: str = Field(description="Why it is down; empty when up.")
    mqtt: str = Field(description="Version; empty before the first connection.")
    connections: int


class HistoryStateAnswer(BaseModel):
    """Whether the history can be written."""

    failure: str = Field(description="Why it cannot; empty when it can.")


class ReceiverStateAnswer(BaseModel):
    """One receiver of notifications."""

    name: str
    error: str
    since_ms: int
    waiting: int
    sent: int
    given_up: int
    dropped: int


class CollectorAnswer(BaseModel):
    """The state of the collector; counters are since its start."""

    broker: BrokerStateAnswer
    history: HistoryStateAnswer
    alarm: str = Field(description="What a sender did that no station does.")
    unjudged: str = Field(description="Why parts are not judged for alarms.")
    duplicates: int
    dropped: int
    rejected: dict[str, int] = Field(description="Invalid messages by reason.")
    refused: list[str] = Field(description="The reasons of the last minutes.")
    notify: list[ReceiverStateAnswer]


class HealthAnswer(BaseModel):
    """``status`` alone for somebody unknown."""

    status: str = Field(pattern="^(ok|degraded|failing)$")
    broker: BrokerStateAnswer | None = None
    history: HistoryStateAnswer | None = None
    alarm: str | None = None
    unjudged: str | None = None
    duplicates: int | None = None
    dropped: int | None = None
    rejected: dict[str, int] | None = None
    refused: list[str] | None = None
    notify: list[ReceiverStateAnswer] | None = None


class AlarmAnswer(BaseModel):
    """An alarm of a camera; times that are 0 have not come."""

    id: int
    site: str
    line: str
    station: str
    camera: str
    kind: str
    raised_ms: int
    value: float
    limit_value: float
    parts: int
    cleared_ms: int
    acknowledged_ms: int
    acknowledged_by: str
    comment: str


class ShownAlarmAnswer(AlarmAnswer):
    """An alarm with the names to show."""

    place: str


class StatusAnswer(CollectorAnswer):
    """The state of the collector, for pages."""

    now_ms: int
    started_ms: int
    title: str
    stale_after_s: float
    missing: int = Field(description="Events that are missing between others.")
    alarms: list[ShownAlarmAnswer] = Field(description="The open ones.")


class GapAnswer(BaseModel):
    """A stream in which events are missing."""

    stream: str
    site: str
    line: str
    station: str
    first_seq: int
    last_seq: int
    events: int
    missing: int


class SummaryAnswer(CollectorAnswer):
    """Totals of the history, and the state of the collector."""

    now_ms: int
    alerts: int
    alerts_last_hour: int
    images: int
    verdicts: int
    shed_by_stations: int
    waiting_for_picture: int
    streams: int
    gaps: list[GapAnswer]
