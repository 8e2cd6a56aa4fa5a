"""Configuration of one camera: source, limits, and when a defect is alarmed."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from edge.camera_controls import ControlSettings
from edge.camera_health import CameraHealthSettings
from edge.cameras.source import Source, SourceKind, parse_source
from edge.rule_config import PartsSettings, RegionSettings, StreakSettings, names_twice
from models.config import Settings
from models.topics import Name


def _known_source(text: str) -> str:
    """Return the text if it is in the grammar of sources."""
    parse_source(text)
    return text


class TriggerMode(StrEnum):
    """What makes a frame a part."""

    FREE = "free"
    COMMAND = "command"
    HARDWARE = "hardware"


class CameraSettings(Settings):
    """``[[camera]]``: one camera."""

    name: Name = Field(description="Name in topics and messages.")
    source: Annotated[str, AfterValidator(_known_source)] = Field(
        description="folder:PATH, file:PATH, rtsp://…, http://…, v4l2:/dev/…, "
        "aravis:ID or a path."
    )
    fps: float = Field(
        default=0,
        ge=0,
        le=1000,
        description="Pace in frames per second; 0 = a folder as fast as it is "
        "inspected, anything else at its own pace.",
    )
    loops: bool = Field(
        default=False,
        description="A video file begins again at its end: a camera to try things.",
    )
    open_timeout_ms: int = Field(
        default=5000, ge=100, le=120_000, description="Longest wait for the camera."
    )
    read_timeout_ms: int = Field(
        default=1500, ge=100, le=120_000, description="Longest wait for a frame."
    )
    trigger: TriggerMode = Field(
        default=TriggerMode.FREE,
        description="free = no frame is a part; command = the next frame after the "
        "MQTT command `trigger` is one; hardware = every frame is one. A folder is "
        "always triggered: every picture is a part.",
    )
    trigger_timeout_ms: int = Field(
        default=1000,
        ge=10,
        le=60_000,
        description="A frame that is captured later than this after its command is "
        "another part: the verdict is then not-inspected.",
    )
    k: int = Field(
        default=3,
        ge=1,
        le=100,
        description="A defect is alarmed when seen in k of the last n frames "
        "(a folder: at once).",
    )
    n: int = Field(default=5, ge=1, le=100, description="See k.")
    track_iou_threshold: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Overlap in two frames from which it is the same defect.",
    )
    track_max_missed: int = Field(
        default=15,
        ge=0,
        le=10_000,
        description="Frames after which a defect out of sight is a new one.",
    )
    cool_down_s: float = Field(
        default=0,
        ge=0,
        le=86_400,
        description="Free run: after an alert, more of its label and region are "
        "counted instead of told, for so long; 0 = all are told.",
    )
    region: tuple[RegionSettings, ...] = Field(
        default=(), max_length=64, description="One [[camera.region]] for each region."
    )
    parts: PartsSettings | None = Field(
        default=None, description="Counts parts in free run; none = it does not."
    )
    streak: StreakSettings = Field(
        default=StreakSettings(), description="When so many defects are an alarm."
    )
    health: CameraHealthSettings = Field(
        default=CameraHealthSettings(),
        description="[camera.health]: what is checked of its frames.",
    )

    settings: ControlSettings = Field(
        default_factory=ControlSettings,
        description="What a USB, GigE or USB3 Vision camera is set to at each start.",
    )

    @property
    def parsed_source(self) -> Source:
        """The source, taken apart."""
        return parse_source(self.source)

    @model_validator(mode="after")
    def _trigger_fits(self) -> Self:
        """Refuse a trigger that the source cannot have."""
        kind = self.parsed_source.kind
        if kind is SourceKind.FOLDER and self.trigger is not TriggerMode.FREE:
            raise ValueError("a folder is always triggered: leave trigger out")
        if kind is SourceKind.VIDEO and self.trigger is TriggerMode.HARDWARE:
            raise ValueError("nothing triggers a video file: use free or command")
        return self

    @model_validator(mode="after")
    def _k_of_n(self) -> Self:
        """Refuse more sightings than frames."""
        if self.k > self.n:
            raise ValueError(f"k = {self.k} cannot be more than n = {self.n}")
        return self

    @model_validator(mode="after")
    def _region_names_differ(self) -> Self:
        """Refuse two regions of one name: alerts would not say which."""
        twice = names_twice(self.region)
        if twice:
            raise ValueError(f"region name used twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _parts_are_counted_once(self) -> Self:
        """Refuse to count parts where every picture is one."""
        is_free = self.trigger is TriggerMode.FREE
        if self.parts and (self.parsed_source.kind.is_triggered or not is_free):
            raise ValueError("[camera.parts] is for free run: here a picture is a part")
        return self

    def beside(self, folder: Path) -> Self:
        """Return the same settings with relative paths taken from a folder.

        Args:
            folder: Of the configuration.
        """
        parts, health = self.parts, self.health
        if parts:
            parts = parts.model_copy(update={"empty": folder / parts.empty})
        if health.baseline is not None:
            path = folder / health.baseline
            health = health.model_copy(update={"baseline": path})
        source = str(self.parsed_source.beside(folder))
        return self.model_copy(
            update={"source": source, "parts": parts, "health": health}
        )
