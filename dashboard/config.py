"""Configuration of ``graftline dashboard``: one TOML file."""

import ipaddress
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from models.broker import BrokerLogin
from models.config import Settings

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
        description="Address to listen on; 0.0.0.0: every computer in the network can "
        "open the page.",
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

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can open the page."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class HistorySettings(Settings):
    """``[history]``: the SQLite file with all received messages."""

    path: Path = Field(
        default=Path("history.sqlite3"),
        description="The file; a relative path is resolved against the folder of the "
        "configuration.",
    )
    keep_days: int = Field(
        default=365,
        ge=1,
        le=36_500,
        description="Days for which alerts and verdicts are kept.",
    )
    keep_images_days: int = Field(
        default=90, ge=1, le=36_500, description="Days for which pictures are kept."
    )
    max_mb: int = Field(
        default=0,
        ge=0,
        description="Largest size of the file in MiB; 0 = limited by the disk only. "
        "When it is nearly full, the oldest pictures of the station that holds the "
        "most are removed; without any, the new events of this station are refused "
        "and the others use the rest. What is not stored is not acknowledged, and the "
        "stations keep it.",
    )


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


class DashboardSettings(Settings):
    """The whole configuration file."""

    broker: CollectorBrokerSettings = CollectorBrokerSettings()
    server: ServerSettings = ServerSettings()
    history: HistorySettings = HistorySettings()
    page: PageSettings = PageSettings()

    def beside(self, folder: Path) -> Self:
        """Return the settings with relative paths resolved against a folder."""
        history = {"path": folder / self.history.path}
        return self.model_copy(
            update={
                "broker": self.broker.located(folder),
                "history": self.history.model_copy(update=history),
            }
        )
