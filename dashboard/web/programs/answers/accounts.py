"""Answers about learning, users, settings and the audit trail."""

from typing import Any

from pydantic import BaseModel

from dashboard.plant_settings import CameraLimit, Shift
from models.messages import AlertDetection, ModelInForce


class LearningAlertAnswer(BaseModel):
    """An alert that may be learned from."""

    n: int
    id: str
    site: str
    line: str
    station: str
    camera: str
    happened_ms: int
    model: ModelInForce
    detections: list[AlertDetection]
    verdict: str | None
    verdict_label: str | None
    judged_by: str | None
    judged_ms: int | None
    left_out_by: str | None
    exported_ms: int | None


class LearningQueueAnswer(BaseModel):
    """The queue of the page."""

    counts: dict[str, int]
    alerts: list[LearningAlertAnswer]


class ChangedAnswer(BaseModel):
    """How many alerts have changed."""

    changed: int


class SessionAnswer(BaseModel):
    """Name and role; null for somebody unknown."""

    user: str | None
    role: str | None


class AuditEntryAnswer(BaseModel):
    """An entry of the audit trail."""

    n: int
    at_ms: int
    user: str
    action: str
    subject: str
    details: dict[str, Any]
    digest: str


class AuditPageAnswer(BaseModel):
    """Entries, the newest first."""

    entries: list[AuditEntryAnswer]
    more: bool


class SettingsAnswer(BaseModel):
    """The settings in force."""

    version: int
    at_ms: int
    user: str
    zone: str
    language: str
    shifts: list[Shift]
    default_limit: CameraLimit
    limits: dict[str, CameraLimit]
    names: dict[str, str]


class UserAnswer(BaseModel):
    """A user."""

    name: str
    role: str
    created_ms: int
    password_ms: int


class UsersAnswer(BaseModel):
    """All users."""

    users: list[UserAnswer]


class NewTokenAnswer(BaseModel):
    """The secret, which is shown only here."""

    token: str
