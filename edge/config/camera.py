"""Configuration of one camera: source, trigger, tracking, settings and health."""

import logging
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from edge.cameras.health.baseline import Background, Baseline
from edge.cameras.health.baseline_file import read_baseline
from edge.cameras.settings import CameraHealthSettings, ControlSettings
from edge.cameras.source import GRAMMAR, Source, SourceKind, parse_source
from edge.config.rules import (
    PartsSettings,
    RegionSettings,
    StreakSettings,
    duplicate_names,
)
from edge.rules.coverage import CameraRules
from edge.rules.part_counter import WHITE
from models.config import Settings
from models.topics import Name

logger = logging.getLogger(__name__)


def load_baseline(health: CameraHealthSettings, camera: str) -> Baseline | None:
    """Return the learned baseline of a camera, and log whether there is one.

    Args:
        health: With an absolute path.

    Returns:
        None where frames are not checked, or the baseline is not learned yet.

    Raises:
        ConfigError: There is a baseline that cannot be used.
    """
    path = health.baseline
    if not health.enabled or path is None:
        return None
    baseline = read_baseline(path)
    if baseline is None:
        logger.info("baseline_is_learned camera=%s path=%s", camera, path)
    else:
        logger.info(
            "baseline_read camera=%s looks=%d sees_movement=%s path=%s",
            *(camera, baseline.looks, Background(baseline).detects_movement, path),
        )
    return baseline


def _source_of(value: object) -> Source:
    if isinstance(value, Source):
        return value
    if not isinstance(value, str):
        raise ValueError("it is not a text")  # noqa: TRY004 (pydantic collects these)
    return parse_source(value)


FREE_RUN = ("k", "n", "track_iou_threshold", "track_max_missed", "cool_down_s")


class TriggerMode(StrEnum):
    """Which frames of a camera show a part to inspect."""

    FREE = "free"
    COMMAND = "command"
    HARDWARE = "hardware"


class RtspTransport(StrEnum):
    """How an RTSP camera sends its video."""

    TCP = "tcp"
    UDP = "udp"


class CameraSettings(Settings):
    """``[[camera]]``: one camera."""

    name: Name = Field(description="Name in topics and messages.")
    source: Annotated[Source, PlainValidator(_source_of), PlainSerializer(str)] = Field(
        description=f"{GRAMMAR}."
    )
    fps: float = Field(
        default=0,
        ge=0,
        le=1000,
        description="Frames per second; 0 = a folder as fast as it is inspected, any "
        "other source at its own rate.",
    )
    loops: bool = Field(
        default=False,
        description="Play a video file in a loop, for trials; refused for any other "
        "source.",
    )
    open_timeout_ms: int = Field(
        default=5000, ge=100, le=120_000, description="Longest wait for the camera."
    )
    read_timeout_ms: int = Field(
        default=1500, ge=100, le=120_000, description="Longest wait for a frame."
    )
    rtsp_transport: RtspTransport = Field(
        default=RtspTransport.TCP,
        description="How an RTSP camera sends its video: tcp, or udp for one that does "
        "not support tcp; frames with lost packets are not inspected.",
    )
    trigger: TriggerMode = Field(
        default=TriggerMode.FREE,
        description="free = frames are not parts; command = the next frame after the "
        "MQTT command `trigger` is a part; hardware = every frame is a part. A folder "
        "is always triggered: every picture is a part.",
    )
    trigger_timeout_ms: int = Field(
        default=1000,
        ge=10,
        le=60_000,
        description="A frame captured later than this after its command shows "
        "another part: the verdict is then not-inspected.",
    )
    k: int = Field(
        default=3,
        ge=1,
        le=100,
        description="A defect is reported when it was detected in k of the last n "
        "frames (a folder: at once).",
    )
    n: int = Field(default=5, ge=1, le=100, description="See k.")
    track_iou_threshold: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Least overlap (IoU) in two frames of the same defect.",
    )
    track_max_missed: int = Field(
        default=15,
        ge=0,
        le=10_000,
        description="A defect that was not detected for more frames than this is a "
        "new one.",
    )
    cool_down_s: float = Field(
        default=0,
        ge=0,
        le=86_400,
        description="Free run: for this long after an alert, others of the same label "
        "and region are counted but not sent; 0 = all are sent.",
    )
    region: tuple[RegionSettings, ...] = Field(
        default=(), max_length=64, description="One [[camera.region]] for each region."
    )
    parts: PartsSettings | None = Field(
        default=None, description="[camera.parts]: counts parts in free run."
    )
    streak: StreakSettings = Field(
        default=StreakSettings(),
        description="[camera.streak]: defect rate that raises an alarm.",
    )
    health: CameraHealthSettings = Field(
        default=CameraHealthSettings(),
        description="[camera.health]: checks of its frames.",
    )
    settings: ControlSettings = Field(
        default=ControlSettings(),
        description="[camera.settings]: written to a USB, GigE or USB3 Vision camera "
        "at each start.",
    )

    @property
    def rules(self) -> CameraRules:
        """The rules that decide what is reported."""
        parts, size_px = self.parts, (self.settings.width_px, self.settings.height_px)
        kind = self.source.kind
        rates = [fps for fps in (self.fps, self.settings.fps) if fps]
        return CameraRules(
            self.name,
            tuple(region.region for region in self.region),
            is_free_run=self.trigger is TriggerMode.FREE and not kind.is_triggered,
            k=self.k,
            cool_down_s=self.cool_down_s,
            streak_parts=self.streak.parts,
            streak_alerts=self.streak.alerts,
            counts_parts=parts is not None,
            part_difference=parts.difference if parts else 0,
            can_count=parts is None or parts.difference < WHITE,
            part_window=parts.window if parts else (0, 0, 1, 1),
            # The frames of a file come slower, but all of them come.
            fps=0 if kind.is_file else min(rates, default=0),
            frame_size_px=size_px if all(size_px) else None,  # type: ignore[arg-type]
        )

    @model_validator(mode="after")
    def _trigger_fits(self) -> Self:
        """Refuse a trigger that the source does not support."""
        kind = self.source.kind
        if kind is SourceKind.FOLDER and self.trigger is not TriggerMode.FREE:
            raise ValueError("a folder is always triggered: leave trigger out")
        if kind is SourceKind.VIDEO and self.trigger is TriggerMode.HARDWARE:
            raise ValueError(
                "a video file has no hardware trigger: use free or command"
            )
        return self

    @model_validator(mode="after")
    def _k_of_n(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k = {self.k} cannot be more than n = {self.n}")
        return self

    @model_validator(mode="after")
    def _region_names_differ(self) -> Self:
        """Refuse two regions with the same name: alerts name the region."""
        duplicates = duplicate_names(self.region)
        if duplicates:
            raise ValueError(f"region name used twice: {', '.join(duplicates)}")
        return self

    @model_validator(mode="after")
    def _parts_are_counted_once(self) -> Self:
        """Refuse to count parts where every picture is a part."""
        is_free = self.trigger is TriggerMode.FREE
        if self.parts and (self.source.kind.is_triggered or not is_free):
            raise ValueError("[camera.parts] is for free run: here a picture is a part")
        return self

    @model_validator(mode="after")
    def _settings_apply(self) -> Self:
        """Refuse settings that nothing reads for this kind of source."""
        kind, ignored = self.source.kind, dict[str, str]()
        if kind is not SourceKind.VIDEO:
            ignored["loops"] = "a video file only"
        if not self.source.is_rtsp:
            ignored["rtsp_transport"] = "an RTSP camera only"
        if kind not in {SourceKind.USB, SourceKind.ARAVIS}:
            ignored["settings"] = "a USB, GigE or USB3 Vision camera only"
        if self.trigger is not TriggerMode.COMMAND:
            ignored["trigger_timeout_ms"] = 'trigger = "command" only'
        if kind is SourceKind.FOLDER:
            free_run = "free run only: each picture of a folder is a part"
            ignored |= dict.fromkeys(FREE_RUN, free_run)
        names = [name for name in ignored if self._is_changed(name)]
        health = CameraHealthSettings()
        if kind is SourceKind.FOLDER:
            for name in ("frozen_after_s", "every_n_frames"):
                if getattr(self.health, name) != getattr(health, name):
                    names.append(f"health.{name}")
                    ignored[names[-1]] = "a camera that films only"
        if names:
            raise ValueError(
                "; ".join(f"{name} applies to {ignored[name]}" for name in names)
                + ": leave it out"
            )
        return self

    def _is_changed(self, name: str) -> bool:
        default = type(self).model_fields[name].default
        return bool(getattr(self, name) != default)

    def resolved_from(self, folder: Path) -> Self:
        """Return the same settings with relative paths resolved against a folder."""
        parts, health = self.parts, self.health
        if parts:
            parts = parts.model_copy(update={"empty": folder / parts.empty})
        if health.baseline is not None:
            health = replace(health, baseline=folder / health.baseline)
        source = self.source.resolved_from(folder)
        return self.model_copy(
            update={"source": source, "parts": parts, "health": health}
        )
