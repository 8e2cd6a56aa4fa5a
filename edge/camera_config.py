"""Configuration of one camera: source, limits, and when a defect is alarmed."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from edge.cameras.source import Source, SourceKind, parse_source
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
        description="folder:PATH, file:PATH, rtsp://…, http://…, v4l2:/dev/… or a path."
    )
    fps: float = Field(
        default=0,
        ge=0,
        le=1000,
        description="Pace in frames per second; 0 = a folder as fast as it is "
        "inspected, anything else at its own pace.",
    )
    open_timeout_ms: int = Field(
        default=5000, ge=100, le=120_000, description="Longest wait for the camera."
    )
    read_timeout_ms: int = Field(
        default=2000, ge=100, le=120_000, description="Longest wait for a frame."
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
