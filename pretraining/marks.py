"""Defects that are painted: scratches, cracks, dents, stains, foreign bodies.

Each function changes a patch of the picture in place. ``contrast`` is the intended
change in grey levels; what is visible is measured afterwards.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pretraining.textures import Texture, cut_texture
from trainer.data.synthetic.raster import (
    FloatImage,
    Mask,
    Plane,
    blob_outline,
    blur,
    draw_disc,
    draw_line,
    draw_polygon,
    random_path,
    to_channels,
    unit,
)


@dataclass(frozen=True, slots=True)
class MarkSpot:
    """Position and strength of a painted mark."""

    patch: FloatImage  # [h, w, 3] float32, changed in place
    x: float  # centre in the patch, pixels
    y: float  # centre in the patch, pixels
    size_px: float
    contrast: float  # grey levels, above 0

    def blank(self) -> Mask:
        """Return an empty mask of the patch's size."""
        return np.zeros(self.patch.shape[:2], np.uint8)


def _add(spot: MarkSpot, alpha: Plane, tone: npt.ArrayLike) -> None:
    tones = np.broadcast_to(np.asarray(tone, np.float32), 3)
    change = cv2.merge([alpha * level for level in tones])
    spot.patch[:] += np.asarray(change, np.float32)


def _cover(spot: MarkSpot, alpha: Plane, other: npt.ArrayLike) -> None:
    change = np.asarray(other, np.float32) - spot.patch
    change *= to_channels(alpha.astype(np.float32))
    spot.patch[:] += change


def _direction(rng: np.random.Generator, spot: MarkSpot) -> float:
    """Return -1 or 1, away from the end of the range that the patch is near."""
    level = float(spot.patch.mean())
    darker = min(max(level / 255, 0.0), 1.0)
    return float(rng.choice([-1.0, 1.0], p=[darker, 1 - darker]))


def _slope(bump: Plane, angle: float) -> Plane:
    """Return the shading of a bump under light from one side, peak about 1."""
    rows, columns = np.gradient(bump)
    shading = columns * np.cos(angle) + rows * np.sin(angle)
    peak = float(np.abs(shading).max()) + 1e-6
    return np.asarray(shading / peak, np.float32)


def _flecks(rng: np.random.Generator, spot: MarkSpot, texture: Texture) -> Plane:
    """Return texture of the patch's size, deviation about 1."""
    height, width = spot.patch.shape[:2]
    return np.asarray(cut_texture(rng, texture, max(height, width))[:height, :width])


def scratch(rng: np.random.Generator, spot: MarkSpot) -> None:
    """Draw one thin line, or a few parallel ones, light or dark or both."""
    sign = _direction(rng, spot)
    bend = rng.choice([0.02, 0.12])
    path = random_path(rng, spot.x, spot.y, spot.size_px, steps=7, bend=bend)
    mask = spot.blank()
    thick = 1 if rng.random() < 0.6 else int(rng.integers(2, 4))
    draw_line(mask, path, thick)
    if rng.random() < 0.2:
        draw_line(mask, path + rng.normal(0, 3, 2).astype(np.float32), 1, 180)
    alpha = unit(mask)
    if rng.random() < 0.5:
        alpha = alpha * np.clip(1 + 0.5 * _flecks(rng, spot, Texture.CLOUD), 0.25, 1.3)
    _add(spot, alpha, sign * spot.contrast * (1 + rng.normal(0, 0.08, 3)))
    if rng.random() < 0.35:
        twin = spot.blank()
        draw_line(twin, path + rng.uniform(0.8, 1.8), 1)
        _add(spot, unit(twin), -sign * spot.contrast * 0.6)


def crack(rng: np.random.Generator, spot: MarkSpot) -> None:
    """Draw a jagged line with branches, mostly darker than its surface."""
    mask = spot.blank()
    heading = rng.uniform(0, 2 * np.pi)
    x = spot.x - np.cos(heading) * spot.size_px / 2
    y = spot.y - np.sin(heading) * spot.size_px / 2
    steps = max(4, int(spot.size_px / 5))
    stem = random_path(rng, x, y, spot.size_px, steps=steps, bend=0.35, heading=heading)
    draw_line(mask, stem, 2 if rng.random() < 0.3 else 1)
    for _ in range(int(rng.integers(0, 4))):
        start = stem[int(rng.integers(len(stem)))]
        turn = heading + rng.choice([-1, 1]) * rng.uniform(0.4, 1.2)
        reach = spot.size_px * rng.uniform(0.15, 0.4)
        twig = random_path(
            rng, start[0], start[1], reach, steps=4, bend=0.35, heading=turn
        )
        draw_line(mask, twig, 1, 210)
    sign = -1 if rng.random() < 0.85 else 1
    _add(spot, unit(mask), sign * spot.contrast * 1.2)


def dent(rng: np.random.Generator, spot: MarkSpot) -> None:
    """Shade a hollow: one side lighter, the other darker."""
    mask = spot.blank()
    stretch = rng.uniform(0.4, 1)
    outline = blob_outline(
        rng, spot.x, spot.y, spot.size_px * 0.36, ragged=0.15, stretch=stretch
    )
    draw_polygon(mask, outline)
    soft = blur(unit(mask), max(0.7, spot.size_px * rng.uniform(0.06, 0.16)))
    shading = _slope(soft, rng.uniform(0, 2 * np.pi))
    shading -= soft * rng.uniform(-0.1, 0.5)
    _add(spot, shading, np.full(3, spot.contrast * 1.2))


def pit(rng: np.random.Generator, spot: MarkSpot) -> None:
    """Draw one small round hole or a cluster of them, with a lit far edge."""
    mask = spot.blank()
    lit = spot.blank()
    many = spot.size_px > 9 and rng.random() < 0.6
    count = int(rng.integers(3, 16)) if many else 1
    for _ in range(count):
        radius = spot.size_px * (rng.uniform(0.04, 0.14) if many else 0.4)
        radius = max(0.9, radius)
        spread = spot.size_px * 0.22 if many else 0.0
        x, y = rng.normal((spot.x, spot.y), spread)
        draw_disc(lit, x + radius * 0.4, y + radius * 0.4, radius)
        draw_disc(mask, x, y, radius)
    _add(spot, unit(lit), np.full(3, spot.contrast * rng.uniform(0, 0.6)))
    _add(spot, unit(mask), np.full(3, -spot.contrast * 1.3))


def stain(rng: np.random.Generator, spot: MarkSpot) -> None:
    """Discolour an irregular patch, softly, sometimes with a darker rim."""
    mask = spot.blank()
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.normal((spot.x, spot.y), spot.size_px * 0.1)
        radius = spot.size_px * rng.uniform(0.25, 0.45)
        outline = blob_outline(rng, x, y, radius, stretch=rng.uniform(0.4, 1))
        draw_polygon(mask, outline)
    alpha = blur(unit(mask), spot.size_px * rng.uniform(0.01, 0.08))
    if rng.random() < 0.3:
        inner = blur(alpha, max(1.0, spot.size_px * 0.08))
        alpha = alpha - 0.7 * inner
    if rng.random() < 0.6:
        cloud = _flecks(rng, spot, Texture.CLOUD)
        alpha = alpha * np.clip(1 + 0.4 * cloud, 0.3, 1.6)
    tone = _direction(rng, spot) * spot.contrast * (1 + rng.normal(0, 0.35, 3))
    _add(spot, alpha, tone)


def inclusion(rng: np.random.Generator, spot: MarkSpot) -> None:
    """Set a sharply bounded grain of another material into the surface."""
    mask = spot.blank()
    stretch = rng.uniform(0.2, 1)
    outline = blob_outline(
        rng, spot.x, spot.y, spot.size_px * 0.42, ragged=0.4, stretch=stretch
    )
    draw_polygon(mask, outline)
    alpha = blur(unit(mask), rng.uniform(0, 0.8))
    tone = _direction(rng, spot) * spot.contrast * (1.2 + rng.normal(0, 0.25, 3))
    family = (Texture.ROUGH, Texture.GRAIN, Texture.CLOUD)[int(rng.integers(3))]
    fleck = _flecks(rng, spot, family)[:, :, None] * spot.contrast * 0.3
    if rng.random() < 0.4:
        level = spot.patch.mean(axis=(0, 1)) + tone
        _cover(spot, alpha * rng.uniform(0.7, 1), level + fleck)
    else:
        _add(spot, alpha, tone)
        spot.patch[:] += alpha[:, :, None] * fleck.astype(np.float32)


def blister(rng: np.random.Generator, spot: MarkSpot) -> None:
    """Raise a round bump: shaded flank, bright spot towards the light."""
    mask = spot.blank()
    draw_disc(mask, spot.x, spot.y, spot.size_px * 0.36)
    soft = blur(unit(mask), max(0.6, spot.size_px * 0.07))
    angle = rng.uniform(0, 2 * np.pi)
    _add(spot, _slope(soft, angle), np.full(3, spot.contrast))
    shine = spot.blank()
    reach = spot.size_px * 0.14
    x, y = spot.x - reach * np.cos(angle), spot.y - reach * np.sin(angle)
    draw_disc(shine, x, y, max(0.8, spot.size_px * 0.08))
    _add(spot, blur(unit(shine), 0.6), np.full(3, spot.contrast * 1.4))


def foreign_body(rng: np.random.Generator, spot: MarkSpot) -> None:
    """Lay a hair, fibre, flake or drop on top, with its shadow."""
    mask = spot.blank()
    if rng.random() < 0.5:
        path = random_path(rng, spot.x, spot.y, spot.size_px * 1.2, steps=10, bend=0.35)
        draw_line(mask, path, 1 if rng.random() < 0.6 else 2)
        reach = 1.2
    else:
        stretch = rng.uniform(0.25, 0.9)
        outline = blob_outline(
            rng, spot.x, spot.y, spot.size_px * 0.4, ragged=0.3, stretch=stretch
        )
        draw_polygon(mask, outline)
        reach = max(1.0, spot.size_px * 0.06)
    alpha = unit(mask)
    if rng.random() < 0.6:
        shift = max(1, round(reach))
        shadow = blur(np.roll(alpha, (shift, shift), (0, 1)), reach * 0.7)
        shadow[:shift], shadow[:, :shift] = 0, 0
        _add(spot, shadow, np.full(3, -spot.contrast * 0.5))
    base = spot.patch.mean(axis=(0, 1))
    shift_bgr = rng.normal(0, 1, 3)
    shift_bgr *= 2.2 * spot.contrast / (np.abs(shift_bgr).max() + 1e-6)
    _cover(spot, alpha, np.clip(base + shift_bgr, 0, 255))


def weave_fault(rng: np.random.Generator, spot: MarkSpot) -> None:
    """Pull, drop or thicken threads along one direction of a cloth."""
    before = spot.patch.copy()
    mask = spot.blank()
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    half = np.array([np.cos(angle), np.sin(angle)]) * spot.size_px / 2
    middle = np.array([spot.x, spot.y])
    thick = max(2, round(spot.size_px * rng.uniform(0.06, 0.25)))
    ends = np.stack([middle - half, middle + half]).astype(np.float32)
    draw_line(mask, ends, thick)
    alpha = blur(unit(mask), 0.6)
    shift = int(rng.integers(2, 7))
    moved = np.roll(before, (shift, -shift), axis=(0, 1))
    _cover(spot, alpha * rng.uniform(0.3, 1), moved)
    _add(spot, alpha, np.full(3, _direction(rng, spot) * spot.contrast))
