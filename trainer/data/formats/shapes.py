"""From what people draw to boxes: polygons, turned rectangles, ellipses, masks.

A detector of upright boxes learns the bounding box of each. A finding reports it, once
for a file and kind of shape.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from models.counted import counted
from trainer.data.findings import Corners, Finding, Level, first_names
from trainer.data.paths import shown

SIZE_FIX = "Correct it: it shows whether the boxes are those of the picture."


def number(value: object) -> float | None:
    """Return a finite number; None for anything else.

    Args:
        value: From a label file: a JSON number, or text of XML.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def all_numbers(values: Iterable[object]) -> list[float] | None:
    """Return finite numbers; None where one of the values is none."""
    numbers = [number(value) for value in values]
    known = [value for value in numbers if value is not None]
    return known if len(known) == len(numbers) else None


def all_points(pairs: Iterable[Iterable[object]]) -> list[tuple[float, float]] | None:
    """Return pairs of finite numbers; None where one of them is not a pair."""
    points = [all_numbers(pair) for pair in pairs]
    known = [(point[0], point[1]) for point in points if point and len(point) == 2]
    return known if len(known) == len(points) else None


def stated_size(width: object, height: object) -> tuple[int, int] | None:
    """Return a size in pixels, 0 for a side that a tool left out.

    None where it left out both. Tools write 0 for a side that they do not know.
    """
    sides = [int(max(number(side) or 0, 0)) for side in (width, height)]
    return (sides[0], sides[1]) if any(sides) else None


def size_fault(width: object, height: object) -> str:
    """Return why a stated size cannot be compared; empty where it can, or is left out.

    Args:
        width: As the label file has it; None or empty where it has none.
        height: Likewise.
    """
    sides = all_numbers((width, height))
    if not (width or height) or (sides and min(sides) >= 0):
        return ""
    return f"its size {shown(width)} x {shown(height)} is not read: not two numbers."


def bounding_box(points: Iterable[tuple[float, float]]) -> Corners:
    """Return the upright box around one or more points."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def centred_box(cx: float, cy: float, width: float, height: float) -> Corners:
    """Return the corners of a box from its centre and sides."""
    return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2


def turned(
    box: Corners, degrees: float, about: tuple[float, float] | None = None
) -> Corners:
    """Return the upright box around a box turned clockwise.

    Args:
        box: xyxy, pixels: in shares of the photo a turn would shear it.
        degrees: Clockwise, y pointing down.
        about: The point that stays; None = the centre.
    """
    x1, y1, x2, y2 = box
    stay_x, stay_y = about or ((x1 + x2) / 2, (y1 + y2) / 2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return bounding_box(
        (
            stay_x + (x - stay_x) * cos - (y - stay_y) * sin,
            stay_y + (x - stay_x) * sin + (y - stay_y) * cos,
        )
        for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    )


def ellipse_box(
    centre: tuple[float, float], radii: tuple[float, float], degrees: float
) -> Corners:
    """Return the upright box around an ellipse.

    Args:
        centre: Pixels.
        radii: Before it is turned, pixels.
        degrees: Clockwise, y pointing down.
    """
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width = math.hypot(radii[0] * cos, radii[1] * sin)
    half_height = math.hypot(radii[0] * sin, radii[1] * cos)
    x, y = centre
    return x - half_width, y - half_height, x + half_width, y + half_height


@dataclass(slots=True)
class Outlines:
    """Shapes of one file that became their bounding boxes."""

    file: Path
    # kind of shape, in the singular, to where they are in the file
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, place: str) -> None:
        """Count a shape."""
        self.places.setdefault(kind, []).append(place)

    def findings(self) -> list[Finding]:
        """Return one finding for each kind."""
        return [
            Finding(
                Level.WARNING,
                self.file,
                first_names(places),
                f"{kind}, {counted(len(places), 'time')}: the bounding box is "
                "taken instead.",
                "None needed if the bounding box is right; otherwise draw a box.",
            )
            for kind, places in self.places.items()
        ]
