"""Configuration of ``graftline dashboard``: one TOML file."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from models.broker import BrokerLogin
from models.config import Settings

LOOPBACK_ADDRESSES = ("127.0.0.1", "localhost", "::1")
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")  # as in a Host header

Port = Annotated[int, Field(ge=1, le=65535)]


class CollectorBrokerSettings(BrokerLogin):
    """``[broker]``: where the stations' messages come from."""

    client_id: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_.-]{0,64}$",
        description="MQTT client id; empty: made once and kept in the history.",
    )


class ServerSettings(Settings):
    """``[server]``: where the page is."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; 0.0.0.0: the whole network may look.",
    )
    port: Port = Field(default=8765, description="TCP port of the page.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names in the address bar that are served; empty: the loopback "
        "names when host is one of them, else every name.",
    )
    max_viewers: int = Field(
        default=100, ge=1, le=10_000, description="Pages that are kept live at a time."
    )

    @property
    def served_names(self) -> tuple[str, ...]:
        """Host names that requests may ask for; ``*`` is every one."""
        if self.allowed_hosts:
            return self.allowed_hosts
        return LOOPBACK_NAMES if self.host in LOOPBACK_ADDRESSES else ("*",)


class HistorySettings(Settings):
    """``[history]``: the SQLite file of everything that was received."""

    path: Path = Field(
        default=Path("history.sqlite3"),
        description="The file; relative: beside the configuration.",
    )
    keep_days: int = Field(
        default=365,
        ge=1,
        le=36_500,
        description="Alerts and verdicts are kept so long.",
    )
    keep_images_days: int = Field(
        default=90, ge=1, le=36_500, description="Pictures are kept so long."
    )
    max_mb: int = Field(
        default=0,
        ge=0,
        description="Largest size of the file in MiB; full: nothing is acknowledged "
        "and the stations keep their alerts. 0: as much as the disk holds.",
    )


class PageSettings(Settings):
    """``[page]``: what the shift leader sees."""

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
        description="A camera that was not heard for so long is shown as stale.",
    )


class DashboardSettings(Settings):
    """The whole file."""

    broker: CollectorBrokerSettings = CollectorBrokerSettings()
    server: ServerSettings = ServerSettings()
    history: HistorySettings = HistorySettings()
    page: PageSettings = PageSettings()

    def beside(self, folder: Path) -> Self:
        """Return the settings with relative paths taken from the file's folder."""
        history = {"path": folder / self.history.path}
        return self.model_copy(
            update={
                "broker": self.broker.located(folder),
                "history": self.history.model_copy(update=history),
            }
        )
