"""Scores of the class ``unknown`` at each place of a frame, from the graph's output."""

import cv2
import numpy as np

from edge.frame import ScoreMap
from models.boxes import FloatArray
from models.heat_map import CELL_PX, SIDE_MAX_PX
from models.preprocess import Letterbox
from models.tiles import Tiles

# Pixels of the input in one of the heat map: tiles and the frame end inside of cells.
STEP_PX = 4
CELL_STEPS = CELL_PX // STEP_PX


def heat_map_of(
    output: FloatArray, unknown: int, letterbox: Letterbox, tiles: Tiles | None
) -> ScoreMap | None:
    """Return the scores of ``unknown`` over the frame.

    Where tiles overlap, the largest score of a place counts, as for boxes.

    Args:
        output: ``[4 + C, A]`` float32; with tiles those of all side by side.
        unknown: Label of the class.
        letterbox: How the frame was put into the input, or into the picture of tiles.
        tiles: How the picture was cut; None = it was not.

    Returns:
        A map that covers the frame; at most ``SIDE_MAX_PX`` on each side. None: the
        package is of a version that has scores of boxes only.
    """
    picture_px = (letterbox.input_height_px, letterbox.input_width_px)
    input_px = (tiles.tile_height_px, tiles.tile_width_px) if tiles else picture_px
    corners = tiles.corners() if tiles else [(0, 0)]
    rows, columns = (side // CELL_PX for side in input_px)
    cells = rows * columns
    parts = output[4 + unknown].reshape(len(corners), -1)  # [tiles, A of one]
    if parts.shape[1] < cells or not (parts[:, -cells:] < 0).any():
        return None
    canvas = np.zeros([side // STEP_PX for side in picture_px], np.float32)
    for scores, (x, y) in zip(np.abs(parts[:, -cells:]), corners, strict=True):
        grid = scores.reshape(rows, columns)
        fine = grid.repeat(CELL_STEPS, 0).repeat(CELL_STEPS, 1)
        top, left = y // STEP_PX, x // STEP_PX
        place = canvas[top : top + fine.shape[0], left : left + fine.shape[1]]
        np.maximum(place, fine, out=place)
    height, width = (max(1, round(px / STEP_PX)) for px in letterbox.content_size_px)
    return _as_grey(canvas[:height, :width])


def _as_grey(scores: FloatArray) -> ScoreMap:
    """Return scores as 8 bits, and smaller where a side is too long."""
    shrink = SIDE_MAX_PX / max(scores.shape)
    if shrink < 1:
        size = [max(1, round(side * shrink)) for side in scores.shape[::-1]]
        scores = np.asarray(cv2.resize(scores, size, interpolation=cv2.INTER_AREA))
    return np.asarray(np.rint(scores.clip(0, 1) * 255), np.uint8)
