"""Configuration of a camera's rules: regions, defect rate and part counting.

Polygons are given in shares of the frame's width and height, so that they stay on the
same area of the part when the camera's resolution changes.
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
        description="inspect = only regions of this kind are inspected, if there is "
        "one; mask = defects here are ignored.",
    )
    polygon: tuple[tuple[float, float], ...] = Field(
        description="Corners [x, y] in 0..1 of the frame's width and height."
    )
    thresholds: dict[str, Threshold] = Field(
        default={},
        description="Score threshold by label in this region, above or below that of "
        "the package.",
    )
    min_size_px: float = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Smaller defects are ignored: the longer side, in frame pixels.",
    )

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        """Refuse a polygon without an area, and rules for a mask."""
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
        """The region as the rules use it."""
        return Region.from_polygon(
            self.name,
            self.kind,
            self.polygon,
            thresholds=self.thresholds,
            min_size_px=self.min_size_px,
        )


class StreakSettings(Settings):
    """``[camera.streak]``: the defect rate that raises a separate alarm."""

    parts: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Defective parts in a row that raise the alarm; 0 = never.",
    )
    alerts: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Free run: more defects than this within window_s raise the "
        "alarm; 0 = never.",
    )
    window_s: float = Field(
        default=600, ge=1, le=86_400, description="Window of alerts, in seconds."
    )


class PartsSettings(Settings):
    """``[camera.parts]``: counts parts in free run; each part gets a verdict."""

    empty: Path = Field(
        description="Picture of the empty belt, taken by this camera: PNG or JPEG."
    )
    window: BeltWindow = Field(
        default=(0.1, 0, 0.9, 1),
        description="Window in which parts are detected: [x1, y1, x2, y2] in 0..1 of "
        "the frame. It must show one part at a time, and the belt between two.",
    )
    difference: float = Field(
        default=30,
        ge=1,
        le=255,
        description="Least difference from the empty belt, in levels of one colour, "
        "of a pixel that shows a part.",
    )
    enter_share: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="A part that covers at least this share of the window is in view.",
    )
    leave_share: float = Field(
        default=0.02,
        gt=0,
        le=1,
        description="A part that covers less than this share has left; less than "
        "enter_share.",
    )

    @model_validator(mode="after")
    def _can_be_counted(self) -> Self:
        """Refuse a window without an area, and swapped limits."""
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


def duplicate_names(regions: tuple[RegionSettings, ...]) -> list[str]:
    """Return the names that more than one region of a camera has."""
    names = [region.name for region in regions]
    return sorted({name for name in names if names.count(name) > 1})
