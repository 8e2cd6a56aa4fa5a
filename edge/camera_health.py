"""Configuration of a camera's health."""

import logging
from pathlib import Path

from pydantic import Field

from edge.cameras.baseline import Background, Baseline
from edge.cameras.baseline_file import read_baseline
from edge.cameras.condition import Limits
from edge.cameras.guard import GuardPlan
from models.config import Settings

logger = logging.getLogger(__name__)


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


def guard_plan(settings: CameraHealthSettings, camera: str) -> GuardPlan | None:
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
    return GuardPlan(
        every_n_frames=settings.every_n_frames,
        limits=Limits(
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
