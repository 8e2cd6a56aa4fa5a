"""The demo's part: a turned, anodised cap with a knurled rim, holes and a marking.

This family is held out of the pretraining stream: no surface and no structure of it is
used here. All is drawn in polar coordinates around the cap's axis; the light stays with
the camera while the cap is turned.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from trainer.data.synthetic.raster import (
    FloatImage,
    Mask,
    Plane,
    blur,
    draw_disc,
    draw_line,
    to_channels,
    unit,
    window_around,
)

RADIUS_SHARE = 0.36  # radius of the cap divided by the edge of the camera's picture
MARGIN_SHARE = 0.02
HOLES = 6
HOLE_CIRCLE = 0.65
HOLE_RADIUS = 0.08
FACE = (0.44, 0.84)  # inner and outer radius of the flat face, in radii of the cap
_KNURLS = 44
_LAMP = -0.7  # radians: the lamp stands above the belt's left side
_FINISHES = ((168, 166, 162), (158, 98, 52))
_LETTERS = np.array(list("ABCDEFHKLMNPRTUVX0123456789"))


@dataclass(frozen=True, slots=True)
class Polar:
    """Polar coordinates of a square patch around its middle."""

    radius: Plane  # [P, P] float32, 1 = the cap's edge
    angle: Plane  # [P, P] float32 radians
    radius_px: float

    @property
    def size_px(self) -> int:
        """Edge of the patch."""
        return int(self.radius.shape[0])

    def point(self, radius: float, angle: float) -> tuple[float, float]:
        """Return the patch's x and y of a polar point, radius 1 = the edge."""
        middle = (self.size_px - 1) / 2
        reach = radius * self.radius_px
        return middle + reach * np.cos(angle), middle + reach * np.sin(angle)


@dataclass(slots=True)
class PartDrawing:
    """A cap while it is being drawn."""

    picture: FloatImage  # [P, P, 3] float32 BGR, before light and lens
    alpha: Plane  # [P, P] float32, 1 = the cap covers the belt
    turn: float  # angle of the cap, radians
    tone: float  # mean grey level of the face


@functools.cache
def polar(frame_px: int) -> Polar:
    """Return the coordinates for a camera picture of the given edge."""
    radius_px = frame_px * RADIUS_SHARE
    size = 2 * round(radius_px + frame_px * MARGIN_SHARE)
    steps = np.arange(size, dtype=np.float32) - (size - 1) / 2
    x, y = steps[None, :], steps[:, None]
    radius = (np.hypot(x, y) / radius_px).astype(np.float32)
    angle = np.broadcast_to(np.arctan2(y, x), (size, size)).astype(np.float32)
    return Polar(radius, angle, radius_px)


def _band(radius: Plane, inner: float, outer: float, soft: float) -> Plane:
    """Return 1 between two radii, 0 elsewhere, with soft flanks."""
    rise = np.clip((radius - inner) / soft + 0.5, 0, 1)
    fall = np.clip((outer - radius) / soft + 0.5, 0, 1)
    return np.asarray(rise * fall, np.float32)


@functools.cache
def _relief(frame_px: int) -> tuple[Plane, Plane, Plane]:
    """Return what all caps share: ring shading, rim mask, face mask."""
    grid = polar(frame_px)
    soft = 1.5 / grid.radius_px
    towards = np.cos(grid.angle - _LAMP)
    shading: Plane = np.zeros_like(grid.radius)
    for place, width, depth in ((0.87, 0.022, 34), (0.42, 0.02, 26), (0.15, 0.02, 40)):
        ring = _band(grid.radius, place - width, place + width, soft)
        shading += ring * (-depth * 0.6 + depth * towards)
    shading += _band(grid.radius, -1, 0.14, soft) * -38
    shading += _band(grid.radius, 0.16, 0.41, soft) * 8
    rim = _band(grid.radius, 0.9, 1.0, soft)
    shading += rim * (12 * towards - 14)
    face = _band(grid.radius, 0.16, 0.85, soft)
    return shading.astype(np.float32), rim, face


def _tool_texture(rng: np.random.Generator, grid: Polar) -> Plane:
    """Return the concentric marks of turning: regular, and no defect."""
    bins = int(grid.radius_px * 1.3)
    white = rng.standard_normal(bins)
    profile = np.convolve(white, [0.25, 0.5, 0.25], "same") * rng.uniform(1.5, 4.5)
    for _ in range(int(rng.integers(0, 4))):
        profile[int(rng.uniform(0.45, 0.84) * bins / 1.3)] += rng.uniform(-14, 14)
    places = np.minimum(grid.radius * (bins / 1.3), bins - 1).astype(np.intp)
    arc = 0.6 + 0.4 * np.cos(grid.angle - rng.uniform(0, 2 * np.pi))
    return np.asarray(profile[places] * arc, np.float32)


def _finish(rng: np.random.Generator, grid: Polar, tone: float, face: Plane) -> Plane:
    """Return the conical reflection of a turned face under a fixed lamp."""
    lamp = _LAMP + rng.normal(0, 0.12)
    lobes = np.cos(2 * (grid.angle - lamp))
    sharp = rng.uniform(2.0, 5.0)
    shine = np.exp(sharp * (lobes - 1)) * rng.uniform(0.15, 0.42)
    shine += np.exp(-(((grid.angle - lamp - 2.2) / 0.12) ** 2)) * rng.uniform(0, 0.2)
    return np.asarray(face * shine * (40 + 0.5 * tone), np.float32)


def _drill(grid: Polar, drawing: PartDrawing, index: int) -> None:
    """Cut one hole: chamfer, dark inside, a lit far wall."""
    x, y = hole_centre(grid, drawing.turn, index)
    reach = HOLE_RADIUS * grid.radius_px
    window = window_around(x, y, reach * 1.22 + 3, drawing.alpha.shape)
    x, y = window.local(x, y)
    patch = drawing.picture[window.slices]
    rim: Mask = np.zeros(patch.shape[:2], np.uint8)
    draw_disc(rim, x, y, reach * 1.22)
    _blend(patch, rim, drawing.tone * 1.18 + 12)
    inside: Mask = np.zeros(patch.shape[:2], np.uint8)
    draw_disc(inside, x, y, reach)
    _blend(patch, inside, 17)
    wall: Mask = np.zeros(patch.shape[:2], np.uint8)
    draw_disc(wall, x, y, reach * 0.94)
    shift = reach * 0.32
    near_x, near_y = x + shift * np.cos(_LAMP), y + shift * np.sin(_LAMP)
    draw_disc(wall, near_x, near_y, reach * 0.9, 0)
    _blend(patch, wall, drawing.tone * 0.42 + 14)


def hole_centre(grid: Polar, turn: float, index: int) -> tuple[float, float]:
    """Return the patch's x and y of one of the holes."""
    return grid.point(HOLE_CIRCLE, turn + index * 2 * np.pi / HOLES)


def _blend(patch: FloatImage, mask: Mask, level: float) -> None:
    alpha = to_channels(unit(mask))
    patch += alpha * (np.float32(level) - patch)


def _ribs(grid: Polar, drawing: PartDrawing) -> None:
    """Raise a short, soft rib between each two holes."""
    light: Mask = np.zeros(drawing.alpha.shape, np.uint8)
    dark: Mask = np.zeros(drawing.alpha.shape, np.uint8)
    thick = max(2, round(grid.radius_px * 0.028))
    offset = np.array([np.cos(_LAMP), np.sin(_LAMP)]) * grid.radius_px * 0.014
    for index in range(HOLES):
        angle = drawing.turn + (index + 0.5) * 2 * np.pi / HOLES
        ends = np.array([grid.point(0.53, angle), grid.point(0.77, angle)])
        draw_line(light, (ends - offset).astype(np.float32), thick)
        draw_line(dark, (ends + offset).astype(np.float32), thick)
    shading = unit(light) - unit(dark)
    drawing.picture += to_channels(blur(shading * np.float32(20), 1.2))


def _mark(rng: np.random.Generator, grid: Polar, drawing: PartDrawing) -> None:
    """Print a type and a lot number on the hub, turned with the cap."""
    size = grid.size_px
    mask: Mask = np.zeros((size, size), np.uint8)
    scale = grid.radius_px / 185
    middle = size / 2
    rows = ("GL40", "".join(rng.choice(_LETTERS, 4)))
    for text, place in zip(rows, (-0.17, 0.36), strict=True):
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        corner = (round(middle - width / 2), round(middle + place * grid.radius_px))
        cv2.putText(
            mask, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1, cv2.LINE_AA
        )
    turn = cv2.getRotationMatrix2D((middle, middle), -np.degrees(drawing.turn), 1.0)
    turned = unit(np.asarray(cv2.warpAffine(mask, turn, (size, size)), np.uint8))
    ink = 235.0 if drawing.tone < 125 else 38.0
    strength = rng.uniform(0.55, 0.95)
    drawing.picture += to_channels(turned * np.float32(strength)) * (
        ink - drawing.picture
    )


def draw_part(
    rng: np.random.Generator, frame_px: int, *, undrilled: int | None = None
) -> PartDrawing:
    """Return one good cap, or one whose hole ``undrilled`` was forgotten.

    Args:
        rng: Source of seeded_rng: finish, turn, tool marks, lot number.
        undrilled: Index of a hole to leave out, or None.
    """
    grid = polar(frame_px)
    shading, rim, face = _relief(frame_px)
    finish = _FINISHES[int(rng.integers(len(_FINISHES)))]
    base = np.array(finish, np.float32) * rng.uniform(0.9, 1.1)
    base = (base + rng.normal(0, 3, 3)).astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    tone = float(base.mean())
    knurl = np.cos(_KNURLS * (grid.angle - turn)) * rim * 22
    relief = shading * (0.55 + tone / 250) + knurl + _tool_texture(rng, grid) * face
    relief += _finish(rng, grid, tone, face)
    picture = to_channels(relief.astype(np.float32)) + base
    soft = 1.2 / grid.radius_px
    alpha = np.clip((1.0 - grid.radius) / soft + 0.5, 0, 1).astype(np.float32)
    drawing = PartDrawing(picture.astype(np.float32), alpha, turn, tone)
    _ribs(grid, drawing)
    for index in range(HOLES):
        if index != undrilled:
            _drill(grid, drawing, index)
    _mark(rng, grid, drawing)
    return drawing
