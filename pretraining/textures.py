"""A bank of textures, made once per process, from which every surface is cut.

Fractal noise costs far more than the rest of a picture. So a few dozen square tiles are
made once from a fixed seed, and a surface is one affine cut (turn, zoom, shift) out of
a tile, or two cuts combined.
"""

import functools
from collections.abc import Callable
from enum import StrEnum

import cv2
import numpy as np

from trainer.data.synthetic.noise import fractal, standardize
from trainer.data.synthetic.raster import Plane, blur

TILE_PX = 512
# fixed: the same seed of a picture must give the same picture on each machine
BANK_SEED = 0x6772_6166


class Texture(StrEnum):
    """Families of tiles in the texture_bank."""

    CLOUD = "cloud"
    ROUGH = "rough"
    GRAIN = "grain"
    STREAK = "streak"
    CELL = "cell"
    WOOD = "wood"
    WEAVE = "weave"
    RING = "ring"
    MESH = "mesh"


def _cloud(rng: np.random.Generator) -> Plane:
    first = int(rng.integers(2, 7))
    return fractal(rng, TILE_PX, octaves=4, first=first, decay=rng.uniform(0.4, 0.6))


def _rough(rng: np.random.Generator) -> Plane:
    first = int(rng.integers(4, 40))
    return fractal(rng, TILE_PX, octaves=6, first=first, decay=rng.uniform(0.7, 1.0))


def _grain(rng: np.random.Generator) -> Plane:
    white = rng.standard_normal((TILE_PX, TILE_PX), dtype=np.float32)
    return standardize(blur(white, rng.choice([0.0, 0.6, 1.0, 1.8])))


def _streak(rng: np.random.Generator) -> Plane:
    total: Plane = np.zeros((TILE_PX, TILE_PX), np.float32)
    for length_px in rng.choice([21, 41, 81, 161, 321], 3, replace=False):
        white = rng.standard_normal((TILE_PX, TILE_PX), dtype=np.float32)
        total += standardize(
            np.asarray(cv2.blur(white, (int(length_px), 1)), np.float32)
        )
    return standardize(total)


def _cell(rng: np.random.Generator) -> Plane:
    count = int(rng.choice([250, 800, 2500]))
    seeds = np.full((TILE_PX, TILE_PX), 255, np.uint8)
    rows, columns = rng.integers(0, TILE_PX, (2, count))
    seeds[rows, columns] = 0
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, cv2.DIST_MASK_5)
    return standardize(np.sqrt(np.asarray(distance, np.float32)))


def _wood(rng: np.random.Generator) -> Plane:
    warp = fractal(rng, TILE_PX, octaves=3, first=3, decay=0.5)
    ramp = np.linspace(0, rng.uniform(60, 160), TILE_PX, dtype=np.float32)[:, None]
    rings = np.sin(ramp + warp * rng.uniform(2, 7))
    fibres = _streak(rng)
    return standardize(rings.astype(np.float32) + fibres * rng.uniform(0.4, 1.2))


def _weave(rng: np.random.Generator) -> Plane:
    period_px = rng.uniform(5, 14)
    steps = np.arange(TILE_PX, dtype=np.float32)
    jitter = fractal(rng, TILE_PX, octaves=3, first=8, decay=0.6) * rng.uniform(0, 0.5)
    across = np.pi * steps[None, :] / period_px + jitter
    down = np.pi * steps[:, None] / period_px + jitter
    match int(rng.integers(4)):
        case 0:
            woven = np.abs(np.sin(across)) * np.sign(np.sin(across) * np.sin(down))
            woven = woven + np.abs(np.sin(down))
        case 1:
            woven = np.sin(across) * np.sin(down)
        case 2:
            woven = np.sin(across + down) + 0.4 * np.sin(2 * across)
        case _:
            woven = np.sin(across + np.abs(np.sin(down)) * 2)
    return standardize(woven.astype(np.float32))


def _ring(rng: np.random.Generator) -> Plane:
    x, y = rng.uniform(-0.6, 1.6, 2) * TILE_PX
    steps = np.arange(TILE_PX, dtype=np.float32)
    radius = np.hypot(steps[None, :] - x, steps[:, None] - y)
    profile = rng.standard_normal(TILE_PX * 4, dtype=np.float32)
    profile = np.convolve(profile, np.hanning(7), "same").astype(np.float32)
    grooves = np.sin(radius * rng.uniform(0.2, 1.4)) * rng.uniform(0, 2)
    index = np.minimum(radius * rng.uniform(0.8, 1.6), profile.size - 1)
    return standardize((profile[index.astype(np.int32)] + grooves).astype(np.float32))


def _mesh(rng: np.random.Generator) -> Plane:
    period_px = int(rng.integers(8, 40))
    motif: Plane = np.zeros((period_px, period_px), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        corners = rng.integers(0, period_px, 4)
        level = float(rng.uniform(-1, 1))
        low, high = sorted(corners[:2]), sorted(corners[2:])
        motif[low[0] : low[1] + 1, high[0] : high[1] + 1] = level
    repeats = TILE_PX // period_px + 1
    tiled = np.tile(motif, (repeats, repeats))[:TILE_PX, :TILE_PX]
    if motif.std() < 0.05:
        return _grain(rng)
    return standardize(blur(np.ascontiguousarray(tiled), rng.uniform(0.5, 1.5)))


_MAKERS: dict[Texture, tuple[Callable[[np.random.Generator], Plane], int]] = {
    Texture.CLOUD: (_cloud, 5),
    Texture.ROUGH: (_rough, 6),
    Texture.GRAIN: (_grain, 4),
    Texture.STREAK: (_streak, 4),
    Texture.CELL: (_cell, 4),
    Texture.WOOD: (_wood, 4),
    Texture.WEAVE: (_weave, 8),
    Texture.RING: (_ring, 5),
    Texture.MESH: (_mesh, 6),
}


@functools.cache
def texture_bank(texture: Texture) -> tuple[Plane, ...]:
    """Return the tiles of one family, made on first use (about 0.1 s)."""
    maker, count = _MAKERS[texture]
    order = list(Texture).index(texture)
    seeds = np.random.SeedSequence([BANK_SEED, order]).spawn(count)
    return tuple(maker(np.random.Generator(np.random.PCG64(seed))) for seed in seeds)


def cut_texture(
    rng: np.random.Generator,
    texture: Texture,
    size_px: int,
    *,
    zoom: tuple[float, float] = (0.7, 2.5),
) -> Plane:
    """Return a turned, zoomed, shifted cut_texture out of one tile of the texture_bank.

    Args:
        zoom: Smallest and largest magnification of the tile.

    Returns:
        ``[size_px, size_px]`` float32, mean about 0, deviation about 1.
    """
    tiles = texture_bank(texture)
    tile = tiles[int(rng.integers(len(tiles)))]
    scale = float(np.exp(rng.uniform(np.log(zoom[0]), np.log(zoom[1]))))
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    half = size_px / 2
    reach = min(half * (abs(cosine) + abs(sine)), TILE_PX / 2)
    x, y = rng.uniform(reach, TILE_PX - reach, 2)
    x, y = x - half * (cosine - sine), y - half * (sine + cosine)
    matrix = np.array([[cosine, -sine, x], [sine, cosine, y]], np.float64)
    warped = cv2.warpAffine(
        tile,
        matrix,
        (size_px, size_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(warped, np.float32)


def grain(rng: np.random.Generator, size_px: int) -> Plane:
    """Return fine noise as a plain slice: the cheapest cut_texture, for sensors.

    Returns:
        ``[size_px, size_px]`` float32, mean about 0, deviation about 1.
    """
    if size_px > TILE_PX // 2 * 3 // 2:
        return rng.standard_normal((size_px, size_px), dtype=np.float32)
    tiles = texture_bank(Texture.GRAIN)
    tile = tiles[int(rng.integers(len(tiles)))]
    top, left = rng.integers(0, TILE_PX - size_px + 1, 2)
    patch = tile[top : top + size_px, left : left + size_px]
    return np.ascontiguousarray(np.rot90(patch, int(rng.integers(4))))
