"""Configuration of one camera: source, limits, and when a defect is alarmed.

Configuration of what a camera itself is set to: ``[camera.settings]``.

Configuration of a camera's health.
"""

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from edge.cameras.controls import Controls
from edge.cameras.health.baseline import Background, Baseline
from edge.cameras.health.baseline_file import read_baseline
from edge.cameras.health.condition import QualityLimits
from edge.cameras.health.monitor import ImageQualityPlan
from edge.cameras.source import Source, SourceKind, parse_source
from edge.config.rules import PartsSettings, RegionSettings, StreakSettings, names_twice
from models.config import Settings
from models.topics import Name

logger = logging.getLogger(__name__)


class ControlSettings(Settings):
    """Settings of a USB, GigE or USB3 Vision camera; what is not given is left."""

    pixel_format: str | None = Field(
        default=None,
        min_length=2,
        max_length=32,
        description="GenICam's name (`Mono8`, `BayerRG8`), or a FourCC (`MJPG`) of a "
        "USB camera.",
    )
    width_px: int | None = Field(
        default=None, ge=16, le=32_768, description="Width of the picture."
    )
    height_px: int | None = Field(
        default=None, ge=16, le=32_768, description="Height of the picture."
    )
    fps: float | None = Field(
        default=None, gt=0, le=1000, description="Frames per second that it takes."
    )
    auto_exposure: bool | None = Field(
        default=None, description="Whether it chooses its exposure time."
    )
    exposure_time_us: float | None = Field(
        default=None,
        ge=1,
        le=60_000_000,
        description="Exposure time; goes with auto_exposure = false.",
    )
    auto_gain: bool | None = Field(
        default=None, description="Whether it chooses its gain."
    )
    gain: float | None = Field(
        default=None, ge=-1000, le=100_000, description="Gain, in its own unit."
    )
    auto_white_balance: bool | None = Field(
        default=None, description="Whether it chooses its white balance."
    )
    white_balance_k: float | None = Field(
        default=None,
        ge=1000,
        le=20_000,
        description="Colour temperature of the light; goes with "
        "auto_white_balance = false.",
    )
    brightness: float | None = Field(
        default=None, ge=-100_000, le=100_000, description="In its own unit."
    )
    trigger_source: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="What triggers it: `Line0`, `Software`.",
    )
    trigger_activation: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Which edge triggers it: `RisingEdge`.",
    )
    trigger_mode: bool | None = Field(
        default=None, description="Whether every frame waits for a trigger."
    )

    @property
    def controls(self) -> Controls:
        """The same as plain values, for the camera's process."""
        return Controls(**self.model_dump())


class CameraHealthSettings(Settings):
    """``[camera.health]``: what is checked of a camera's frames, and how often."""

    enabled: bool = Field(
        default=True, description="Whether frames are checked at all."
    )
    every_n_frames: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Every n-th frame is measured; of a folder every picture, and at "
        "any camera each frame that is as good as empty at a glance.",
    )
    frozen_after_s: float = Field(
        default=5,
        ge=0,
        le=3600,
        description="Frames that are the same to the last bit for so long are not "
        "inspected: the camera is frozen; 0 = never. A folder cannot freeze.",
    )
    black_below: float = Field(
        default=12,
        ge=0,
        le=255,
        description="An even frame darker than this grey level is not inspected; "
        "0 = every frame is.",
    )
    white_above: float = Field(
        default=250,
        ge=0,
        le=256,
        description="An even frame brighter than this grey level is not inspected; "
        "256 = every frame is.",
    )
    alarm_after_s: float = Field(
        default=1,
        ge=0.1,
        le=600,
        description="How long something must be wrong before the camera is degraded; "
        "it must be right for twice as long before it is up again.",
    )
    baseline: Path | None = Field(
        default=None,
        description="File with what the camera's picture is like when all is well. "
        "Where it does not exist it is learned from the next frames and written: "
        "delete it to learn again. Without one, nothing is said of covered, "
        "over-exposed, blurred, moved, dark and bright.",
    )
    learn_frames: int = Field(
        default=200,
        ge=20,
        le=100_000,
        description="Measured frames that make a baseline.",
    )
    brightness_tolerance: float = Field(
        default=0.3,
        gt=0,
        le=10,
        description="How much darker or brighter than learned it may be, as a share.",
    )


def guard_plan(settings: CameraHealthSettings, camera: str) -> ImageQualityPlan | None:
    """Return how to look at a camera's frames; none where nothing is checked.

    Args:
        settings: The camera's ``[camera.health]``, paths absolute.
        camera: Its name, for the log.

    Raises:
        ConfigError: There is a baseline that cannot be used.
    """
    if not settings.enabled:
        return None
    path = settings.baseline
    baseline = read_baseline(path) if path is not None else None
    _log_baseline(path, baseline, camera)
    return ImageQualityPlan(
        every_n_frames=settings.every_n_frames,
        limits=QualityLimits(
            frozen_after_s=settings.frozen_after_s,
            black_below=settings.black_below,
            white_above=settings.white_above,
            brightness_tolerance=settings.brightness_tolerance,
            alarm_after_s=settings.alarm_after_s,
        ),
        learn_looks=settings.learn_frames,
        baseline_path=path,
        baseline=baseline,
    )


def _log_baseline(path: Path | None, baseline: Baseline | None, camera: str) -> None:
    """Say whether a camera is judged against a baseline, and what it can tell."""
    if baseline is not None:
        logger.info(
            "baseline_read camera=%s looks=%d sees_movement=%s path=%s",
            *(camera, baseline.looks, Background(baseline).can_tell, path),
        )
    elif path is not None:
        logger.info("baseline_is_learned camera=%s path=%s", camera, path)


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
