"""From what people draw to boxes: polygons, turned rectangles, ellipses, masks.

A detector of upright boxes learns the bounding box of each; that is said, once for a
file and kind of shape.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from trainer.data.formats.rows import Finding, Level, named

Corners4 = tuple[float, float, float, float]


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


def bounding_box(points: Iterable[tuple[float, float]]) -> Corners4:
    """Return the upright box around points.

    Args:
        points: One or more.
    """
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def turned(
    box: Corners4, degrees: float, about: tuple[float, float] | None = None
) -> Corners4:
    """Return the upright box around a box turned clockwise.

    Args:
        box: xyxy, pixels: shares of the photo would be turned askew.
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
) -> Corners4:
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
    """Shapes of one file that became their bounding boxes.

    Attributes:
        file: The annotation file.
        places: Kind of shape to where they stand.
    """

    file: Path
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, place: str) -> None:
        """Count a shape.

        Args:
            kind: In the singular, as a person calls it.
            place: Where it stands.
        """
        self.places.setdefault(kind, []).append(place)

    def findings(self) -> list[Finding]:
        """Return one finding for each kind."""
        return [
            Finding(
                Level.WARNING,
                self.file,
                named(places),
                f"{kind}, {len(places)} times: the bounding box is taken instead.",
                "Nothing, if the box is what shall be found; else draw a box.",
            )
            for kind, places in self.places.items()
        ]
