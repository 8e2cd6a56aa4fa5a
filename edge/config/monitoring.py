"""Configuration of how the daemon is watched: figures over HTTP, heat, a smart home."""

from pathlib import Path

from pydantic import Field

from models.config import Settings


class MetricsSettings(Settings):
    """``[metrics]``: figures for Prometheus, ``/healthz`` and ``/readyz``."""

    port: int = Field(
        default=0, ge=0, le=65535, description="TCP port; 0 = no figures over HTTP."
    )
    listen: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; whoever reaches it can read the figures.",
    )


class ThermalSettings(Settings):
    """``[thermal]``: what happens when the processor gets too hot."""

    poll_interval_s: float = Field(
        default=5, ge=0.1, le=600, description="How often to look."
    )
    calm_s: float = Field(
        default=30, ge=0, le=3600, description="Calm for so long, and it is over."
    )
    sysfs: Path = Field(
        default=Path("/sys"), description="Where the kernel shows sensors and clocks."
    )
    sheds_frames: bool = Field(
        default=True,
        description="While throttled, free-running cameras inspect every second frame.",
    )


class HomeAssistantSettings(Settings):
    """``[home_assistant]``: let Home Assistant find this station by itself."""

    enabled: bool = Field(
        default=False,
        description="Announce the station; false also takes an announcement back.",
    )
    prefix: str = Field(
        default="homeassistant",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="Discovery prefix that Home Assistant is set to.",
    )
