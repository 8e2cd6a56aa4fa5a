"""Configuration of ``graftline dashboard``: one TOML file."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from dashboard.notify_settings import RECEIVERS_MAX, NotifySettings, address_of
from dashboard.postgresql_login import PostgresqlLogin, checked_url
from models.broker import BrokerLogin
from models.config import Settings
from models.password_file import read_password_file


@dataclass(frozen=True, slots=True)
class KeptDays:
    """Days for which each class of data is kept.

    Attributes:
        alerts: Alerts with their reviews, losses and conflicts; pictures are not kept
            for longer.
        parts: Verdicts of parts.
        sums: Sums per minute and hour.
        operations: States, models and maintenance of line PCs, and changes of alarms.
    """

    alerts: int
    images: int
    parts: int
    sums: int
    operations: int


Port = Annotated[int, Field(ge=1, le=65535)]


class CollectorBrokerSettings(BrokerLogin):
    """``[broker]``: the MQTT broker that the stations publish to."""

    client_id: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_.-]{0,64}$",
        description="MQTT client id; empty: generated once and kept in the history.",
    )


class ServerSettings(Settings):
    """``[server]``: address of the page, and who may open it."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; 0.0.0.0: every computer in the network "
        "reaches the page, which then needs users.",
    )
    port: Port = Field(default=8765, description="TCP port of the page.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        max_length=32,
        description="Host names that requests may use, besides addresses and this "
        "machine's own name; * = every name.",
    )
    max_viewers: int = Field(
        default=100, ge=1, le=10_000, description="Most pages with live updates."
    )
    session_hours: float = Field(
        default=12,
        gt=0,
        le=720,
        description="Hours without a request after which a user has to log in again.",
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="Certificate of the page with its chain, PEM; turns HTTPS on.",
    )
    tls_key: Path | None = Field(
        default=None, description="Key of that certificate, PEM, without a password."
    )

    public_url: str = Field(
        default="",
        max_length=500,
        description="Address of the page as other computers see it, for the links in "
        "notifications: https://wall.plant.example; empty: no links.",
    )
    public_metrics: bool = Field(
        default=False,
        description="Whether /metrics is served without a token.",
    )

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if url:
            address_of(url)
        return url.rstrip("/")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can open the page."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def located(self, folder: Path) -> Self:
        """Return the same settings with relative paths resolved against a folder."""
        files = {"tls_certificate": self.tls_certificate, "tls_key": self.tls_key}
        found = {name: folder / path for name, path in files.items() if path}
        return self.model_copy(update=found)


class HistorySettings(Settings):
    """``[history]``: where all received messages are kept, and for how long."""

    path: Path = Field(
        default=Path("history.sqlite3"),
        description="The file; a relative path is resolved against the folder of the "
        "configuration.",
    )
    url: str = Field(
        default="",
        max_length=1000,
        description="PostgreSQL instead of the file: "
        "postgresql://user@host:5432/database. Several dashboards may use one "
        "database. The password is in password_file.",
    )
    password_file: Path | None = Field(
        default=None,
        description="File whose first line is the password of the database.",
    )
    keep_days: int = Field(
        default=365,
        ge=1,
        le=36_500,
        description="Days for which alerts, verdicts and the states of line PCs are "
        "kept.",
    )
    keep_images_days: int = Field(
        default=90, ge=1, le=36_500, description="Days for which pictures are kept."
    )
    full_pictures_mb: int = Field(
        default=256,
        ge=0,
        le=1 << 20,
        description="Full pictures that were fetched from line PCs are kept up to this "
        "size in MiB, at most an eighth of max_mb; the least used ones make room.",
    )
    keep_verdicts_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days for which the verdicts of parts are kept; without it: "
        "keep_days.",
    )
    keep_sums_days: int = Field(
        default=730,
        ge=1,
        le=36_500,
        description="Days for which the sums per minute and hour are kept, from "
        "which trends are made.",
    )
    max_mb: int = Field(
        default=0,
        ge=0,
        description="Largest size of the file in MiB; 0 = limited by the disk only. "
        "When it is nearly full, the oldest pictures of the station that holds the "
        "most are removed; without any, the new events of this station are refused "
        "and the others use the rest. What is not stored is not acknowledged, and the "
        "stations keep it. For the file only: PostgreSQL is limited by its disk.",
    )

    @field_validator("url")
    @classmethod
    def _is_a_database(cls, url: str) -> str:
        if url:
            checked_url(url)
        return url

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.password_file is not None and not self.url:
            raise ValueError("password_file needs url")
        if self.max_mb and self.url:
            raise ValueError(
                "max_mb is the limit of the file: limit the disk of the database"
            )
        return self

    def kept_days(self) -> KeptDays:
        """Return how long each class of data is kept."""
        return KeptDays(
            alerts=self.keep_days,
            images=self.keep_images_days,
            parts=self.keep_verdicts_days or self.keep_days,
            sums=self.keep_sums_days,
            operations=self.keep_days,
        )

    def location(self) -> Path | PostgresqlLogin:
        """Return the file, or the login to the database.

        Raises:
            ConfigError: The file of the password cannot be read.
        """
        if not self.url:
            return self.path
        password = None
        if self.password_file is not None:
            password = read_password_file("history.password_file", self.password_file)
        return PostgresqlLogin(self.url, password)


class PageSettings(Settings):
    """``[page]``: settings of the web page."""

    title: str = Field(
        default="Graftline",
        min_length=1,
        max_length=60,
        description="Name of the plant or line in the header.",
    )
    stale_after_s: float = Field(
        default=15,
        ge=1,
        le=3600,
        description="A camera that sends no message for this long is shown as stale.",
    )


class LinesSettings(Settings):
    """``[lines]``: the pages of lines."""

    home_assistant_prefix: str = Field(
        default="homeassistant",
        pattern=r"^([A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,3})?$",
        description="Discovery prefix that is set in Home Assistant: what is forgotten "
        "is removed there too; empty: there is no Home Assistant.",
    )

    forget_after_days: int = Field(
        default=30,
        ge=0,
        le=36_500,
        description="A camera or line PC that sends nothing for so many days while "
        "others do leaves the pages, the broker and Home Assistant; its alerts stay. "
        "0 = never.",
    )


class DashboardSettings(Settings):
    """The whole configuration file."""

    broker: CollectorBrokerSettings = CollectorBrokerSettings()
    server: ServerSettings = ServerSettings()
    history: HistorySettings = HistorySettings()
    page: PageSettings = PageSettings()
    lines: LinesSettings = LinesSettings()
    notify: tuple[NotifySettings, ...] = Field(
        default=(),
        max_length=RECEIVERS_MAX,
        description="Who is sent alarms, alerts and the states of lines.",
    )

    @field_validator("notify")
    @classmethod
    def _names_differ(
        cls, receivers: tuple[NotifySettings, ...]
    ) -> tuple[NotifySettings, ...]:
        names = [each.name for each in receivers]
        if len(set(names)) < len(names):
            raise ValueError("two receivers have the same name")
        return receivers

    def beside(self, folder: Path) -> Self:
        """Return the settings with relative paths resolved against a folder."""
        history = {"path": folder / self.history.path}
        if self.history.password_file is not None:
            history["password_file"] = folder / self.history.password_file
        return self.model_copy(
            update={
                "broker": self.broker.located(folder),
                "server": self.server.located(folder),
                "history": self.history.model_copy(update=history),
                "notify": tuple(each.located(folder) for each in self.notify),
            }
        )
