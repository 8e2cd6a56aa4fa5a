"""Configuration of a camera's rules: where it looks, and what counts as a streak.

Polygons are given in shares of the frame's width and height, so that they stay on the
same spot of the part when the camera's resolution changes.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from edge.rules.part_counter import BeltWindow
from edge.rules.regions import Region, RegionKind, polygon_fault
from models.config import Settings
from models.topics import Name

Threshold = Annotated[float, Field(ge=0.01, le=1)]


class RegionSettings(Settings):
    """``[[camera.region]]``: one part of the picture."""

    name: Name = Field(description="Name in alerts.")
    kind: RegionKind = Field(
        default=RegionKind.INSPECT,
        description="inspect = look here and, where there is one, nowhere else; "
        "mask = what is found here is ignored.",
    )
    polygon: tuple[tuple[float, float], ...] = Field(
        description="Corners [x, y] in 0..1 of the frame's width and height."
    )
    thresholds: dict[str, Threshold] = Field(
        default={},
        description="Label to the score from which it counts here, above or below "
        "the package's own.",
    )
    min_size_px: float = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Smaller defects are ignored: the longer side, in frame pixels.",
    )

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        """Refuse a polygon without an inside, and rules where nobody looks."""
        fault = polygon_fault(self.polygon)
        if fault:
            raise ValueError(f"region {self.name}: {fault}")
        if self.kind is RegionKind.MASK and (self.thresholds or self.min_size_px):
            raise ValueError(
                f"region {self.name}: a mask takes neither thresholds nor min_size_px"
            )
        return self

    @property
    def region(self) -> Region:
        """The region, ready to be compared with boxes."""
        return Region.of(
            self.name,
            self.kind,
            self.polygon,
            thresholds=self.thresholds,
            min_size_px=self.min_size_px,
        )


class StreakSettings(Settings):
    """``[camera.streak]``: when so many defects are an alarm of their own."""

    parts: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Defective parts in a row that raise it; 0 = never.",
    )
    alerts: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Free run: more defects than this within window_s raise it; "
        "0 = never.",
    )
    window_s: float = Field(
        default=600, ge=1, le=86_400, description="Window of alerts, in seconds."
    )


class PartsSettings(Settings):
    """``[camera.parts]``: free run: count the parts, and judge each."""

    empty: Path = Field(
        description="Picture of the empty belt, taken by this camera: PNG or JPEG."
    )
    window: BeltWindow = Field(
        default=(0.1, 0, 0.9, 1),
        description="Where parts are looked for: [x1, y1, x2, y2] in 0..1 of the "
        "frame. It must show one part at a time, and the belt between two.",
    )
    difference: float = Field(
        default=30,
        ge=1,
        le=255,
        description="Grey levels of a colour from which a point is not the belt.",
    )
    enter_share: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Share of the window that a part hides when it is in view.",
    )
    leave_share: float = Field(
        default=0.02,
        gt=0,
        le=1,
        description="Share below which it has left; less than enter_share.",
    )

    @model_validator(mode="after")
    def _can_be_counted(self) -> Self:
        """Refuse a window without an inside, and limits the wrong way round."""
        x1, y1, x2, y2 = self.window
        if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
            raise ValueError(
                f"window {list(self.window)} is not [x1, y1, x2, y2] with x1 < x2 and "
                "y1 < y2 in 0..1 of the frame"
            )
        if self.leave_share >= self.enter_share:
            raise ValueError(
                f"leave_share = {self.leave_share:g} must be less than enter_share = "
                f"{self.enter_share:g}"
            )
        return self


def names_twice(regions: tuple[RegionSettings, ...]) -> list[str]:
    """Return the names that more than one region has.

    Args:
        regions: Of one camera.
    """
    names = [region.name for region in regions]
    return sorted({name for name in names if names.count(name) > 1})
