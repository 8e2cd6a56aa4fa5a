"""Configuration of the daemon: one TOML file, one class for each part.

Relative paths are resolved against the folder of the file, so that they do not depend
on the daemon's working directory. Secrets are paths to files.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from edge.config.camera import CameraSettings
from edge.config.monitoring import (
    HomeAssistantSettings,
    MetricsSettings,
    ThermalSettings,
)
from models.broker import BrokerLogin
from models.config import Settings, load_config
from models.topics import Name, StationTopics

MEBIBYTE = 1 << 20

# While the broker does not answer, the pauses stop growing here, even if
# ``reconnect_max_s`` is larger: waiting alerts are delivered soon after it is back.
UNREACHABLE_PAUSE_MAX_S = 5.0


class StationSettings(Settings):
    """``[station]``: place of this daemon in the factory; part of the MQTT topics."""

    site: Name = Field(description="Factory.")
    line: Name = Field(description="Line in the factory.")
    station: Name = Field(description="Station on the line; one daemon each.")

    @property
    def topics(self) -> StationTopics:
        """The station's MQTT topics."""
        return StationTopics(self.site, self.line, self.station)


class ModelSettings(Settings):
    """``[model]``: which model runs, and on how many cores."""

    slot: Path = Field(description="Folder that `graftline flash` installs into.")
    threads: int = Field(
        default=0, ge=0, le=512, description="Threads of inference; 0 = all cores."
    )
    poll_interval_s: float = Field(
        default=1, gt=0, le=60, description="Interval of checks for a new model."
    )


class ProtocolChoice(StrEnum):
    """Version of MQTT."""

    AUTO = "auto"
    V5 = "5"
    V311 = "3.1.1"


class CollectorAck(StrEnum):
    """Whether an event must be acknowledged by the collector to be delivered."""

    AUTO = "auto"
    REQUIRED = "required"
    OFF = "off"


class BrokerSettings(BrokerLogin):
    """``[broker]``: the MQTT broker, and when an event is delivered."""

    reconnect_max_s: float = Field(
        default=30,
        gt=0,
        le=600,
        description="Longest pause before the next attempt after a refusal; an "
        f"unreachable broker is tried at least every {UNREACHABLE_PAUSE_MAX_S:g} s. "
        "Pauses vary by half.",
    )
    protocol: ProtocolChoice = Field(
        default=ProtocolChoice.AUTO,
        description="auto = MQTT 5, or 3.1.1 where the broker does not support 5.",
    )
    collector_ack: CollectorAck = Field(
        default=CollectorAck.AUTO,
        description="auto = wait for the dashboard as soon as one has answered, and "
        "report that none has; required = always wait; off = there is no dashboard: "
        "the broker's acknowledgement is enough.",
    )
    collector_silent_after_s: float = Field(
        default=60,
        ge=1,
        le=86400,
        description="A collector that does not acknowledge for this long what the "
        "broker has is an alarm.",
    )


class OutboxSettings(Settings):
    """``[outbox]``: alerts and verdicts that are not delivered yet, on disk."""

    path: Path = Field(description="SQLite file; its folder is created.")
    max_bytes: int = Field(
        default=256 * MEBIBYTE,
        ge=MEBIBYTE,
        le=1 << 40,
        description="Largest size; beyond it the least important events are evicted.",
    )
    stalled_after_s: float = Field(
        default=30,
        gt=0,
        le=86400,
        description="--exit-at-end gives up when nothing was delivered for this long.",
    )


class EvidenceSettings(Settings):
    """``[evidence]``: full frames of alerts."""

    folder: Path = Field(description="Folder of the pictures; it is created.")
    max_bytes: int = Field(
        default=2048 * MEBIBYTE,
        ge=MEBIBYTE,
        le=1 << 44,
        description="Largest size; beyond it the oldest pictures are deleted.",
    )


class HealthSettings(Settings):
    """``[health]``: how often the daemon reports its state."""

    interval_s: float = Field(
        default=2, ge=0.1, le=60, description="Interval of health.json and statistics."
    )
    progress_interval_s: float = Field(
        default=10,
        ge=0.1,
        le=3600,
        description="Interval of progress lines on the terminal.",
    )


class EdgeSettings(Settings):
    """The whole file."""

    station: StationSettings
    model: ModelSettings
    broker: BrokerSettings = BrokerSettings()
    outbox: OutboxSettings
    evidence: EvidenceSettings
    health: HealthSettings = HealthSettings()
    metrics: MetricsSettings = MetricsSettings()
    thermal: ThermalSettings = ThermalSettings()
    home_assistant: HomeAssistantSettings = HomeAssistantSettings()
    camera: tuple[CameraSettings, ...] = Field(
        min_length=1, max_length=64, description="One [[camera]] for each camera."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        """Refuse two cameras with the same name: they would share their topics."""
        names = [camera.name for camera in self.camera]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(f"camera name used twice: {', '.join(duplicates)}")
        return self


def load_edge_config(path: Path) -> EdgeSettings:
    """Return the configuration in a TOML file, with absolute paths.

    Raises:
        ConfigError: Missing, not TOML, or with faults; all are reported together.
    """
    return _resolved_from(load_config(path, EdgeSettings), path.absolute().parent)


def _resolved_from(settings: EdgeSettings, folder: Path) -> EdgeSettings:
    cameras = tuple(camera.resolved_from(folder) for camera in settings.camera)
    return settings.model_copy(
        update={
            "model": settings.model.model_copy(
                update={"slot": folder / settings.model.slot}
            ),
            "broker": settings.broker.located(folder),
            "outbox": settings.outbox.model_copy(
                update={"path": folder / settings.outbox.path}
            ),
            "evidence": settings.evidence.model_copy(
                update={"folder": folder / settings.evidence.folder}
            ),
            "camera": cameras,
        }
    )


def render_config(settings: EdgeSettings) -> str:
    """Return the configuration as JSON, without passwords in URLs."""
    return json.dumps(settings.model_dump(mode="json"), indent=2)
