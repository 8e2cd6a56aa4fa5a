"""Materials: the surface of a picture without structures and defects.

A material is a base colour plus one or two textures from the bank. The strength of the
texture (``roughness``) is passed on, because a defect must be stronger to be visible.
"""

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from pretraining.textures import Texture, cut_texture
from trainer.data.synthetic.raster import FloatImage, Plane


class Material(StrEnum):
    """Kinds of surface."""

    CAST_METAL = "cast_metal"
    BRUSHED_METAL = "brushed_metal"
    TURNED_METAL = "turned_metal"
    FABRIC = "fabric"
    PAPER = "paper"
    WOOD = "wood"
    GLASS = "glass"
    PLASTIC = "plastic"
    RUBBER = "rubber"
    LEATHER = "leather"
    CONCRETE = "concrete"
    PATTERN = "pattern"
    LACQUER = "lacquer"
    FLAT = "flat"


@dataclass(frozen=True, slots=True)
class Surface:
    """A rendered material."""

    picture: FloatImage  # [S, S, 3] float32 BGR, nominally 0..255
    roughness: float  # standard deviation of the texture in grey levels
    material: Material


_TINTS: dict[Material, tuple[tuple[float, float], float]] = {
    Material.CAST_METAL: ((60, 180), 0.08),
    Material.BRUSHED_METAL: ((90, 210), 0.10),
    Material.TURNED_METAL: ((80, 200), 0.15),
    Material.FABRIC: ((30, 220), 0.5),
    Material.PAPER: ((170, 245), 0.12),
    Material.WOOD: ((70, 190), 0.0),
    Material.GLASS: ((20, 230), 0.2),
    Material.PLASTIC: ((20, 240), 0.8),
    Material.RUBBER: ((15, 70), 0.1),
    Material.LEATHER: ((30, 140), 0.4),
    Material.CONCRETE: ((90, 200), 0.08),
    Material.PATTERN: ((40, 210), 0.5),
    Material.LACQUER: ((30, 130), 0.9),
    Material.FLAT: ((5, 250), 0.6),
}


def colour(
    rng: np.random.Generator, grey: tuple[float, float], chroma: float
) -> tuple[float, float, float]:
    """Return a BGR colour around a grey level, with the given colourfulness."""
    level = rng.uniform(*grey)
    if rng.random() < 0.25:
        return level, level, level
    shift = rng.uniform(-1, 1, 3) * chroma * 90
    blue, green, red = np.clip(level + shift - shift.mean(), 2, 253)
    return float(blue), float(green), float(red)


def tint(
    texture: Plane, base: tuple[float, float, float], amplitude: float, chroma: float
) -> FloatImage:
    """Return the base colour modulated by a texture.

    Args:
        texture: ``[S, S]`` with deviation about 1.
        amplitude: Grey levels per unit of texture.
        chroma: 0 = all channels alike, 1 = in proportion to the base colour.
    """
    mean = max(sum(base) / 3, 1.0)
    channels = [
        np.asarray(
            cv2.addWeighted(
                texture,
                amplitude * (1 - chroma + chroma * level / mean),
                texture,
                0.0,
                level,
            ),
            np.float32,
        )
        for level in base
    ]
    return np.asarray(cv2.merge(channels), np.float32)


_USUAL_ZOOM = (0.7, 2.5)
# family of tiles, magnification, amplitude in grey levels
_TEXTURES: dict[Material, tuple[Texture, tuple[float, float], tuple[float, float]]] = {
    Material.CAST_METAL: (Texture.ROUGH, _USUAL_ZOOM, (3, 18)),
    Material.BRUSHED_METAL: (Texture.STREAK, _USUAL_ZOOM, (3, 16)),
    Material.TURNED_METAL: (Texture.RING, (0.8, 3), (3, 18)),
    Material.FABRIC: (Texture.WEAVE, (0.6, 2.5), (6, 28)),
    Material.PAPER: (Texture.GRAIN, _USUAL_ZOOM, (0.5, 5)),
    Material.WOOD: (Texture.WOOD, _USUAL_ZOOM, (6, 22)),
    Material.GLASS: (Texture.CLOUD, (1.5, 4), (0.5, 7)),
    Material.PLASTIC: (Texture.CLOUD, (1.5, 4), (0.5, 7)),
    Material.RUBBER: (Texture.GRAIN, _USUAL_ZOOM, (2, 8)),
    Material.LEATHER: (Texture.CELL, _USUAL_ZOOM, (4, 16)),
    Material.CONCRETE: (Texture.ROUGH, _USUAL_ZOOM, (4, 16)),
    Material.PATTERN: (Texture.MESH, (0.7, 2.2), (8, 45)),
    Material.LACQUER: (Texture.CLOUD, (1.5, 4), (0.5, 7)),
}


def _texture(
    rng: np.random.Generator, material: Material, size_px: int
) -> tuple[Plane, float]:
    """Return a material's texture and its amplitude in grey levels."""
    if material is Material.FLAT:
        return np.zeros((size_px, size_px), np.float32), 0.0
    family, zoom, amplitude = _TEXTURES[material]
    texture = cut_texture(rng, family, size_px, zoom=zoom)
    if material is Material.CONCRETE:
        texture = texture + np.float32(0.7) * cut_texture(rng, Texture.GRAIN, size_px)
    return texture, rng.uniform(*amplitude)


def _wood_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    level = rng.uniform(80, 200)
    return level * rng.uniform(0.4, 0.8), level * rng.uniform(0.7, 0.9), level


def paint(
    rng: np.random.Generator,
    material: Material,
    size_px: int,
    *,
    grey: tuple[float, float] | None = None,
) -> Surface:
    """Return one surface; each call draws another one.

    Args:
        grey: Range of the mean level, or None for what suits the material.
    """
    usual_grey, chroma = _TINTS[material]
    base = (
        _wood_colour(rng)
        if material is Material.WOOD and grey is None
        else colour(rng, grey or usual_grey, chroma)
    )
    texture, amplitude = _texture(rng, material, size_px)
    roughness = amplitude
    if rng.random() < 0.45:
        second = Texture.CLOUD if rng.random() < 0.6 else Texture.ROUGH
        extra = rng.uniform(2, 12)
        texture = texture * amplitude + cut_texture(rng, second, size_px) * extra
        roughness, amplitude = float(np.hypot(amplitude, extra * 0.5)), 1.0
    return Surface(
        tint(texture, base, amplitude, rng.uniform(0, 1)), roughness, material
    )
