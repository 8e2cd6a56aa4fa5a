"""Effects that resemble defects: reflections, dust, tool marks, shadows.

They are not labelled. They are drawn into the light, which also covers the defects, or
into the surface before any defect is drawn.
"""

import cv2
import numpy as np

from pretraining.camera import Light, even_light, gradient
from pretraining.textures import Texture, cut_texture
from trainer.data.synthetic.raster import (
    FloatImage,
    Mask,
    Plane,
    Points,
    blob_outline,
    blur,
    draw_disc,
    draw_line,
    draw_polygon,
    resize,
    to_channels,
    unit,
)

_COARSE = 4  # soft light is drawn at a quarter of the size: it is not visible


def _soft(mask: Mask, sigma_px: float, size_px: int) -> Plane:
    plane = blur(unit(mask), max(0.3, sigma_px / _COARSE))
    return resize(plane, size_px, size_px)


def _shadow(rng: np.random.Generator, light: Light, size_px: int) -> None:
    """Darken one side of a line, or a large blob, with a soft border."""
    small = size_px // _COARSE
    mask = np.zeros((small, small), np.uint8)
    if rng.random() < 0.5:
        x, y = rng.uniform(0, small, 2)
        outline = blob_outline(rng, x, y, small * rng.uniform(0.3, 0.7))
        draw_polygon(mask, outline)
    else:
        angle = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(angle), np.sin(angle)]) * 2 * small
        side = np.array([-along[1], along[0]])
        start = rng.uniform(0.1, 0.9, 2) * small
        corners = [start - along, start + along, start + along + side]
        corners.append(start - along + side)
        draw_polygon(mask, np.array(corners, np.float32))
    sigma = size_px * rng.uniform(0.01, 0.12)
    depth = np.float32(rng.uniform(0.1, 0.45))
    dimmed = to_channels(1 - _soft(mask, sigma, size_px) * depth)
    np.multiply(light.gain, dimmed, out=light.gain)


def _reflection(rng: np.random.Generator, light: Light, size_px: int) -> None:
    """Add a soft bright spot or streak."""
    small = size_px // _COARSE
    mask = np.zeros((small, small), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0, small, 2)
        radius = small * rng.uniform(0.02, 0.16)
        stretch = rng.uniform(0.1, 1)
        draw_polygon(mask, blob_outline(rng, x, y, radius, ragged=0.1, stretch=stretch))
    sigma = size_px * rng.uniform(0.015, 0.06)
    tones = (1 + rng.normal(0, 0.05, 3)) * rng.uniform(30, 150)
    soft = _soft(mask, sigma, size_px)
    glow = cv2.merge([soft * np.float32(tone) for tone in tones])
    np.add(light.glow, np.asarray(glow, np.float32), out=light.glow)


def _dust(rng: np.random.Generator, light: Light, size_px: int) -> None:
    """Sprinkle specks of a pixel or two, and a few lint hairs."""
    mask = np.zeros((size_px, size_px), np.uint8)
    for x, y in rng.uniform(0, size_px, (int(rng.integers(4, 50)), 2)):
        draw_disc(mask, x, y, rng.uniform(0.3, 1.0), int(rng.integers(60, 256)))
    level = rng.choice([-1, 1]) * rng.uniform(15, 60)
    specks = to_channels(unit(mask) * np.float32(level))
    np.add(light.glow, specks, out=light.glow)


def tool_marks(rng: np.random.Generator, picture: FloatImage) -> None:
    """Draw a regular set of parallel lines or arcs into a surface, in place."""
    size_px = picture.shape[0]
    mask = np.zeros((size_px, size_px), np.uint8)
    pitch = rng.uniform(4, 24)
    if rng.random() < 0.5:
        x, y = rng.uniform(-1, 2, 2) * size_px
        for radius in np.arange(pitch, 2.5 * size_px, pitch):
            angles = np.linspace(0, 2 * np.pi, 60)
            arc = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)])
            draw_line(mask, arc.T.astype(np.float32), 1)
    else:
        angle = rng.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)]) * 1.5 * size_px
        normal = np.array([-np.sin(angle), np.cos(angle)])
        for offset in np.arange(-size_px, size_px, pitch):
            centre = np.array([size_px / 2, size_px / 2]) + normal * offset
            ends: Points = np.stack([centre - along, centre + along]).astype(np.float32)
            draw_line(mask, ends, 1)
    level = rng.choice([-1, 1]) * rng.uniform(4, 18)
    plane = unit(mask) * np.float32(level)
    if rng.random() < 0.5:
        plane = plane * np.clip(cut_texture(rng, Texture.CLOUD, size_px), 0, 1.5)
    picture += to_channels(plane.astype(np.float32))


def border(rng: np.random.Generator, picture: FloatImage) -> None:
    """Show the edge of the field of view: a flat bar at one side, in place."""
    size_px = picture.shape[0]
    width_px = int(size_px * rng.uniform(0.02, 0.2))
    level = rng.choice([rng.uniform(0, 30), rng.uniform(100, 255)])
    side = int(rng.integers(4))
    turned = np.rot90(picture, side)
    turned[:width_px] = level


def draw_light(rng: np.random.Generator, size_px: int) -> Light:
    """Return a random light with its reflections, shadows and dust."""
    light = even_light(size_px)
    if rng.random() < 0.8:
        np.multiply(light.gain, to_channels(gradient(rng, size_px)), out=light.gain)
    if rng.random() < 0.22:
        _shadow(rng, light, size_px)
    if rng.random() < 0.25:
        _reflection(rng, light, size_px)
    if rng.random() < 0.2:
        _dust(rng, light, size_px)
    return light
