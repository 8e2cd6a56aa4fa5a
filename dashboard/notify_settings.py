"""Configuration of notifications: ``[[notify]]``, one table for each receiver.

Secrets are paths to files: the address of a webhook often is one itself.
"""

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, model_validator

from models.config import Settings
from models.topics import NAME_PATTERN

RECEIVERS_MAX: Final = 32
_NAME: Final = NAME_PATTERN.strip("^$")
# site, site/line, site/line/station, site/line/station/camera
AREA_PATTERN: Final = rf"^{_NAME}(/{_NAME}){{0,3}}$"
_TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]"
HOURS_PATTERN: Final = rf"^{_TIME}-({_TIME}|24:00)$"
ADDRESS_PATTERN: Final = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}$"
FILE_FIELDS: Final = ("url_file", "token_file", "password_file", "tls_ca_file")
SMTP_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}


class NotifyKind(StrEnum):
    """How a notification is sent."""

    WEBHOOK = "webhook"
    TEAMS = "teams"
    EMAIL = "email"


class NotifyTopic(StrEnum):
    """What a notification is about."""

    ALARMS = "alarms"
    ALERTS = "alerts"
    LINES = "lines"


class MailTls(StrEnum):
    """How a connection to a mail server is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


def address_of(url: str) -> SplitResult:
    """Return the parts of the address of a webhook.

    Raises:
        ValueError: It is no address that may be used. The text does not repeat it: it
            may be a secret.
    """
    try:
        parts = urlsplit(url)
        has_port = parts.port != 0
    except ValueError as exc:
        raise ValueError("the address of the webhook cannot be read") from exc
    if parts.scheme not in {"http", "https"} or not parts.hostname or not has_port:
        raise ValueError("the address of a webhook starts with http://HOST or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address holds a login: use token_file or url_file")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("the address of a webhook has visible ASCII characters only")
    return parts


def _checked_address(url: str) -> str:
    if url:
        address_of(url)
    return url


Area = Annotated[str, Field(pattern=AREA_PATTERN)]
Hours = Annotated[str, Field(pattern=HOURS_PATTERN)]
MailAddress = Annotated[str, Field(pattern=ADDRESS_PATTERN)]


class NotifySettings(Settings):
    """``[[notify]]``: one receiver, and what it is sent."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_-]{1,40}$", description="Name, for messages about it."
    )
    kind: NotifyKind = Field(
        description="webhook: JSON by POST; teams: an Adaptive Card by POST; email."
    )
    about: tuple[NotifyTopic, ...] = Field(
        default=(NotifyTopic.ALARMS,),
        min_length=1,
        description="alarms: of the wall; alerts: every defect; lines: cameras and "
        "line PCs that are lost or degraded, and that are back.",
    )
    places: tuple[Area, ...] = Field(
        default=(),
        max_length=200,
        description="Only these: site, site/line, site/line/station or "
        "site/line/station/camera; none: all.",
    )
    after_minutes: int = Field(
        default=0,
        ge=0,
        le=1440,
        description="Escalation: alarms that are still open and not acknowledged after "
        "this time, and lines whose state lasts as long; 0 = immediately.",
    )
    quiet_hours: tuple[Hours, ...] = Field(
        default=(),
        max_length=8,
        description="HH:MM-HH:MM in the plant's zone, on every day, also over "
        "midnight: nothing is sent. What still holds at the end is sent then; alerts "
        "are not.",
    )
    max_per_hour: int = Field(
        default=30,
        ge=1,
        le=1000,
        description="Most messages in an hour; what is more waits, and goes together "
        "in one message.",
    )
    url: str = Field(
        default="",
        max_length=2000,
        description="Address of the webhook, http or https; redirects are not "
        "followed.",
    )
    url_file: Path | None = Field(
        default=None,
        description="File whose first line is that address, where it is a secret, as "
        "that of Teams.",
    )
    token_file: Path | None = Field(
        default=None,
        description="File whose first line is sent as Authorization: Bearer.",
    )
    host: str = Field(
        default="",
        max_length=253,
        pattern=r"^[A-Za-z0-9.:_-]*$",
        description="Mail server.",
    )
    port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of the mail server; 0 = 587 for starttls, 465 for tls, 25 "
        "for none.",
    )
    tls: MailTls = Field(
        default=MailTls.STARTTLS, description="Encryption to the mail server."
    )
    tls_ca_file: Path | None = Field(
        default=None,
        description="Certificates to trust, PEM; none: those of the system.",
    )
    username: str = Field(
        default="", max_length=200, description="User of the mail server."
    )
    password_file: Path | None = Field(
        default=None, description="File whose first line is that user's password."
    )
    sender: str = Field(
        default="",
        pattern=rf"^$|{ADDRESS_PATTERN}",
        description="Address that e-mails are from.",
    )
    to: tuple[MailAddress, ...] = Field(
        default=(), max_length=50, description="Addresses that e-mails go to."
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.kind is NotifyKind.EMAIL:
            self._check_mail()
            return self
        _checked_address(self.url)
        if bool(self.url) == (self.url_file is not None):
            raise ValueError(f"{self.kind} needs url or url_file")
        if self.host or self.to or self.sender or self.username or self.password_file:
            raise ValueError(f"host, username, sender and to are not for {self.kind}")
        return self

    def _check_mail(self) -> None:
        if not (self.host and self.sender and self.to):
            raise ValueError("email needs host, sender and to")
        if self.url or self.url_file or self.token_file:
            raise ValueError("url, url_file and token_file are not for email")
        if bool(self.username) != (self.password_file is not None):
            raise ValueError("username and password_file go together")
        if self.username and self.tls is MailTls.NONE and not _is_loopback(self.host):
            raise ValueError("a password needs tls = starttls or tls")

    @property
    def mail_port(self) -> int:
        """The port of the mail server."""
        return self.port or SMTP_PORTS[self.tls.value]

    def concerns(self, where: tuple[str, ...]) -> bool:
        """Return whether a camera, or a station with the camera "", is wanted.

        >>> wanted = {"url": "http://a", "places": ["plant/line-1"]}
        >>> settings = NotifySettings(name="a", kind="webhook", **wanted)
        >>> settings.concerns(("plant", "line-1", "press", "top"))
        True
        >>> settings.concerns(("plant", "line-10", "press", "top"))
        False
        """
        places = [tuple(place.split("/")) for place in self.places]
        return not places or any(where[: len(each)] == each for each in places)

    def located(self, folder: Path) -> Self:
        """Return the same settings with relative paths resolved against a folder."""
        files = {name: getattr(self, name) for name in FILE_FIELDS}
        found = {name: folder / path for name, path in files.items() if path}
        return self.model_copy(update=found)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
