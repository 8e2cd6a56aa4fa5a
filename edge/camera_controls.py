"""Configuration of what a camera itself is set to: ``[camera.settings]``."""

from pydantic import Field

from edge.cameras.controls import Controls
from models.config import Settings


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
