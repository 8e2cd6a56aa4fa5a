"""Configuration of monitoring: metrics over HTTP, temperature, Home Assistant."""

from pathlib import Path

from pydantic import Field

from models.config import Settings


class MetricsSettings(Settings):
    """``[metrics]``: metrics for Prometheus, ``/healthz`` and ``/readyz``."""

    port: int = Field(
        default=0, ge=0, le=65535, description="TCP port; 0 = no HTTP server."
    )
    listen: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; there is no login.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        max_length=32,
        description="Host names that requests may use, besides addresses and this "
        "machine's own name; * = every name.",
    )


class ThermalSettings(Settings):
    """``[thermal]``: detection of a processor that is too hot, and the response."""

    poll_interval_s: float = Field(
        default=5, ge=0.1, le=600, description="Interval of measurements."
    )
    calm_s: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="Throttling is over after this long without a sign of it.",
    )
    sysfs: Path = Field(
        default=Path("/sys"), description="Folder of the kernel's sensors and clocks."
    )
    sheds_frames: bool = Field(
        default=True,
        description="While throttled, free-running cameras inspect every second frame.",
    )


class HomeAssistantSettings(Settings):
    """``[home_assistant]``: MQTT discovery of this station by Home Assistant."""

    enabled: bool = Field(
        default=False,
        description="Publish the discovery messages; false also removes earlier ones.",
    )
    prefix: str = Field(
        default="homeassistant",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="Discovery prefix that Home Assistant is configured with.",
    )
