"""Decides whether photos are cut into tiles, and the size of the tiles.

At the largest input the small boxes of a large photo may be too small for a detector.
The photo is then cut into tiles of the usual input, at a scale where small boxes have
ten pixels. The overlap is larger than nearly every box, so that nearly every defect is
whole in some tile. Each tile is one inference; the command line reports their number.
"""

import math
from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from models.errors import ConfigError
from models.tile_merge import CUT_MARGIN_PX
from models.tiles import Tiles
from trainer.data.dataset import Photo
from trainer.fit.input_size import (
    LARGEST_INPUT_PX,
    SIZE_MULTIPLE_PX,
    SMALLEST_BOX_PX,
    USUAL_INPUT_PX,
    small_box_share,
)

WANTED_BOX_PX = 10.0  # of small boxes: a cell of the finest map, and part of the next
USUAL_BOX = 95  # percentile of the longer sides: nearly every box fits the overlap
LEAST_OVERLAP_PX = 32
LARGEST_OVERLAP = 0.4  # of a tile: above one half, everything is detected twice
MAX_TILES = 36  # for one photo; a photo that needs more is shrunk
SHRINK = 0.95  # factor of the picture, until few enough tiles cover it


class TileMode(StrEnum):
    """The values of ``--tiles`` other than a size."""

    AUTO = "auto"
    OFF = "off"


TileOption = TileMode | tuple[int, int]
"""Height and width of a tile at the photos' own scale, or whether to choose."""


def choose_tiles(
    photos: Sequence[Photo], size_px: int | None, option: TileOption
) -> Tiles | None:
    """Return how photos are cut into tiles; None = they are not cut.

    Args:
        size_px: Longer side of the input if it was given: then nothing is cut unless
            tiles were given too.

    Raises:
        ConfigError: The tiles cannot be an input, or are not smaller than the photos.
    """
    if option is TileMode.OFF or (option is TileMode.AUTO and size_px):
        return None
    height = float(np.median([photo.height_px for photo in photos]))
    width = float(np.median([photo.width_px for photo in photos]))
    longer = max(height, width)
    if isinstance(option, tuple):
        _check(option, height, width)
        return _plan(photos, (height, width), longer, option)
    small = small_box_share(photos)
    if small is None or longer <= LARGEST_INPUT_PX:
        return None
    if small * LARGEST_INPUT_PX >= SMALLEST_BOX_PX:
        return None
    side = min(longer, WANTED_BOX_PX / small)
    plan = _plan(photos, (height, width), side, (USUAL_INPUT_PX, USUAL_INPUT_PX))
    while plan.count > MAX_TILES:
        side *= SHRINK
        plan = _plan(photos, (height, width), side, (USUAL_INPUT_PX, USUAL_INPUT_PX))
    return plan


def _plan(
    photos: Sequence[Photo],
    photo_px: tuple[float, float],
    side: float,
    tile_px: tuple[int, int],
) -> Tiles:
    """Return the tiles of photos that are scaled to a longer side in pixels."""
    scale = side / max(photo_px)
    height, width = (
        max(tile, math.ceil(edge * scale))
        for edge, tile in zip(photo_px, tile_px, strict=True)
    )
    return Tiles(height, width, *tile_px, _overlap_px(photos, side, min(tile_px)))


def _overlap_px(photos: Sequence[Photo], side: float, tile_px: int) -> int:
    """Return an overlap that is larger than nearly every box with inexact edges."""
    shares = [
        (photo.boxes[:, 2:] - photo.boxes[:, :2]).max(axis=1)
        / max(photo.height_px, photo.width_px)
        for photo in photos
        if not photo.is_good
    ]
    largest = float(np.percentile(np.concatenate(shares), USUAL_BOX)) if shares else 0.0
    wanted = math.ceil(largest * side + 2 * CUT_MARGIN_PX)
    return min(max(LEAST_OVERLAP_PX, wanted), int(LARGEST_OVERLAP * tile_px))


def _check(tile_px: tuple[int, int], height: float, width: float) -> None:
    """Refuse tiles that cannot be an input, or that cut nothing."""
    shown = f"--tiles {tile_px[0]}x{tile_px[1]}"
    if any(side % SIZE_MULTIPLE_PX or side < 2 * SIZE_MULTIPLE_PX for side in tile_px):
        raise ConfigError(
            f"{shown}: cannot be an input.",
            why=f"Sides are multiples of {SIZE_MULTIPLE_PX} px, at least "
            f"{2 * SIZE_MULTIPLE_PX}.",
            fix="For example --tiles 640x640.",
        )
    if tile_px[0] >= height and tile_px[1] >= width:
        raise ConfigError(
            f"{shown}: not smaller than the photos.",
            why=f"They have {width:.0f} x {height:.0f} px.",
            fix="Give smaller tiles, or leave --tiles out.",
        )
