"""Settings that a camera's process reads itself: ``[camera.settings]`` and ``.health``.

They are dataclasses of the standard library, because a camera's process does not import
pydantic: each camera would pay for it in start-up time and memory. The configuration
uses the same classes as field types; pydantic reads bounds and descriptions from the
metadata of each field.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path

Value = float | str


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Settings of a USB, GigE or USB3 Vision camera, in the order of writing.

    A setting that is None is not written.
    """

    pixel_format: str | None = field(
        default=None,
        metadata={
            "min_length": 2,
            "max_length": 32,
            "description": "GenICam name (`Mono8`, `BayerRG8`), or the FourCC (`MJPG`) "
            "of a USB camera.",
        },
    )
    width_px: int | None = field(
        default=None,
        metadata={"ge": 16, "le": 32_768, "description": "Width of the picture."},
    )
    height_px: int | None = field(
        default=None,
        metadata={"ge": 16, "le": 32_768, "description": "Height of the picture."},
    )
    fps: float | None = field(
        default=None,
        metadata={
            "gt": 0,
            "le": 1000,
            "description": "Frames per second that the camera captures.",
        },
    )
    auto_exposure: bool | None = field(
        default=None,
        metadata={"description": "Whether the camera chooses its exposure time."},
    )
    exposure_time_us: float | None = field(
        default=None,
        metadata={
            "ge": 1,
            "le": 60_000_000,
            "description": "Exposure time; needs auto_exposure = false.",
        },
    )
    auto_gain: bool | None = field(
        default=None, metadata={"description": "Whether the camera chooses its gain."}
    )
    gain: float | None = field(
        default=None,
        metadata={
            "ge": -1000,
            "le": 100_000,
            "description": "Gain, in the camera's own unit; GenICam: dB or raw.",
        },
    )
    auto_white_balance: bool | None = field(
        default=None,
        metadata={"description": "Whether the camera chooses its white balance."},
    )
    white_balance_k: float | None = field(
        default=None,
        metadata={
            "ge": 1000,
            "le": 20_000,
            "description": "Colour temperature of the light; needs "
            "auto_white_balance = false.",
        },
    )
    brightness: float | None = field(
        default=None,
        metadata={
            "ge": -100_000,
            "le": 100_000,
            "description": "Brightness, in the camera's own unit.",
        },
    )
    trigger_source: str | None = field(
        default=None,
        metadata={
            "min_length": 1,
            "max_length": 64,
            "description": "Signal that triggers a frame: `Line0`, `Software`.",
        },
    )
    trigger_activation: str | None = field(
        default=None,
        metadata={
            "min_length": 1,
            "max_length": 64,
            "description": "Edge of the signal that triggers: `RisingEdge`.",
        },
    )
    trigger_mode: bool | None = field(
        default=None,
        metadata={"description": "Whether every frame waits for a trigger."},
    )

    def given(self) -> dict[str, Value]:
        """Return the settings that are not None, in the order of writing."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class CameraHealthSettings:
    """Checks of a camera's frames, and their limits."""

    enabled: bool = field(
        default=True, metadata={"description": "Whether frames are checked at all."}
    )
    every_n_frames: int = field(
        default=5,
        metadata={
            "ge": 1,
            "le": 1000,
            "description": "Every n-th frame is measured; of a triggered camera every "
            "frame, and of any camera each frame with almost no contrast.",
        },
    )
    frozen_after_s: float = field(
        default=5,
        metadata={
            "ge": 0,
            "le": 3600,
            "description": "Frames that are identical to the last bit for this long "
            "are not inspected: the camera is frozen; 0 = never. A folder never "
            "freezes.",
        },
    )
    black_below: float = field(
        default=12,
        metadata={
            "ge": 0,
            "le": 255,
            "description": "A uniform frame darker than this grey level is not "
            "inspected; 0 = every frame is.",
        },
    )
    white_above: float = field(
        default=250,
        metadata={
            "ge": 0,
            "le": 256,
            "description": "A uniform frame brighter than this grey level is not "
            "inspected; 256 = every frame is.",
        },
    )
    alarm_after_s: float = field(
        default=1,
        metadata={
            "ge": 0.1,
            "le": 600,
            "description": "How long a condition must last before the camera is "
            "degraded; it must be absent for twice as long before the camera is up "
            "again.",
        },
    )
    baseline: Path | None = field(
        default=None,
        metadata={
            "description": "File with the learned appearance of good frames. If it "
            "does not exist, it is learned from the next frames and written; delete "
            "it to learn again. Without a baseline, covered, over-exposed, blurred, "
            "moved, dark and bright are not detected.",
        },
    )
    learn_frames: int = field(
        default=200,
        metadata={
            "ge": 20,
            "le": 100_000,
            "description": "Measured frames from which a baseline is learned.",
        },
    )
    brightness_tolerance: float = field(
        default=0.3,
        metadata={
            "gt": 0,
            "le": 10,
            "description": "How much darker or brighter than learned a frame may be, "
            "as a share.",
        },
    )
