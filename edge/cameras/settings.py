"""Settings that a camera's process reads itself: ``[camera.settings]`` and ``.health``.

They are dataclasses of the standard library, because a camera's process does not import
pydantic: each camera would pay for it in start-up time and memory. The configuration
uses the same classes as field types; pydantic reads bounds and descriptions from the
metadata of each field.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Value = float | str


def _setting(default: T, description: str, **bounds: float) -> T:
    """Return a dataclass field with the metadata that pydantic reads."""
    return field(default=default, metadata={"description": description, **bounds})


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Settings of a USB, GigE or USB3 Vision camera, in the order of writing.

    A setting that is None is not written.
    """

    pixel_format: str | None = _setting(
        None,
        "GenICam name (`Mono8`, `BayerRG8`), or the FourCC (`MJPG`) of a USB camera.",
        min_length=2,
        max_length=32,
    )
    width_px: int | None = _setting(None, "Width of the picture.", ge=16, le=32_768)
    height_px: int | None = _setting(None, "Height of the picture.", ge=16, le=32_768)
    fps: float | None = _setting(
        None, "Frames per second that the camera captures.", gt=0, le=1000
    )
    auto_exposure: bool | None = _setting(
        None, "Whether the camera chooses its exposure time."
    )
    exposure_time_us: float | None = _setting(
        None, "Exposure time; needs auto_exposure = false.", ge=1, le=60_000_000
    )
    auto_gain: bool | None = _setting(None, "Whether the camera chooses its gain.")
    gain: float | None = _setting(
        None,
        "Gain, in the camera's own unit; GenICam: dB or raw.",
        ge=-1000,
        le=100_000,
    )
    auto_white_balance: bool | None = _setting(
        None, "Whether the camera chooses its white balance."
    )
    white_balance_k: float | None = _setting(
        None,
        "Colour temperature of the light; needs auto_white_balance = false.",
        ge=1000,
        le=20_000,
    )
    brightness: float | None = _setting(
        None, "Brightness, in the camera's own unit.", ge=-100_000, le=100_000
    )
    trigger_source: str | None = _setting(
        None,
        "Signal that triggers a frame: `Line0`, `Software`.",
        min_length=1,
        max_length=64,
    )
    trigger_activation: str | None = _setting(
        None,
        "Edge of the signal that triggers: `RisingEdge`.",
        min_length=1,
        max_length=64,
    )
    trigger_mode: bool | None = _setting(
        None, "Whether every frame waits for a trigger."
    )

    def given(self) -> dict[str, Value]:
        """Return the settings that are not None, in the order of writing."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class CameraHealthSettings:
    """Checks of a camera's frames, and their limits."""

    enabled: bool = _setting(
        default=True, description="Whether frames are checked at all."
    )
    every_n_frames: int = _setting(
        5,
        "Every n-th frame is measured; of a triggered camera every frame, and of "
        "any camera each frame with almost no contrast.",
        ge=1,
        le=1000,
    )
    frozen_after_s: float = _setting(
        5,
        "Frames that are identical to the last bit for this long are not inspected: "
        "the camera is frozen; 0 = never. A folder never freezes.",
        ge=0,
        le=3600,
    )
    black_below: float = _setting(
        12,
        "A uniform frame darker than this grey level is not inspected; 0 = every "
        "frame is.",
        ge=0,
        le=255,
    )
    white_above: float = _setting(
        250,
        "A uniform frame brighter than this grey level is not inspected; 256 = "
        "every frame is.",
        ge=0,
        le=256,
    )
    alarm_after_s: float = _setting(
        1,
        "How long a condition must last before the camera is degraded; it must be "
        "absent for twice as long before the camera is up again.",
        ge=0.1,
        le=600,
    )
    baseline: Path | None = _setting(  # noqa: RUF009 (it returns a field)
        None,
        "File with the learned appearance of good frames. If it does not exist, it "
        "is learned from the next frames and written; delete it to learn again. "
        "Without a baseline, covered, over-exposed, blurred, moved, dark and bright "
        "are not detected.",
    )
    learn_frames: int = _setting(
        200, "Measured frames from which a baseline is learned.", ge=20, le=100_000
    )
    brightness_tolerance: float = _setting(
        0.3,
        "How much darker or brighter than learned a frame may be, as a share.",
        gt=0,
        le=10,
    )
