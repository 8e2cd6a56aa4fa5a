"""Tiles: a picture that is larger than the input is inferred in pieces.

The frame is letterboxed into a *picture* of fixed size, larger than the input, and the
picture is cut into overlapping tiles of the input's size. Frames of every camera take
the same number of inferences, and training cuts its photos with the same code. A box no
larger than the overlap is complete in at least one tile.

Source:
    Slicing Aided Hyper Inference, arXiv:2202.06934, for the idea of overlapping
    slices; positions and merging differ.
"""

import math
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray
from models.preprocess import Frame


@dataclass(frozen=True, slots=True)
class Tiles:
    """How pictures are cut.

    Attributes:
        picture_height_px: Height of the letterboxed frame, at least a tile's.
        picture_width_px: Its width, at least a tile's.
        tile_height_px: Height of the graph's input.
        tile_width_px: Width of the graph's input.
        overlap_px: Neighbours share at least this much, less than a tile's sides.
    """

    picture_height_px: int
    picture_width_px: int
    tile_height_px: int
    tile_width_px: int
    overlap_px: int

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be cut."""
        smallest = min(self.tile_height_px, self.tile_width_px)
        fits = (
            self.picture_height_px >= self.tile_height_px
            and self.picture_width_px >= self.tile_width_px
        )
        if not fits or not 0 <= self.overlap_px < smallest:
            msg = (
                "tiles must fit into the picture and overlap by less than "
                f"their sides, got {self}"
            )
            raise ValueError(msg)

    @property
    def rows(self) -> int:
        """Number of tiles from top to bottom."""
        return len(_starts(self.picture_height_px, self.tile_height_px, self))

    @property
    def columns(self) -> int:
        """Number of tiles from left to right."""
        return len(_starts(self.picture_width_px, self.tile_width_px, self))

    @property
    def count(self) -> int:
        """Number of tiles, which is the number of inferences that a frame takes."""
        return self.rows * self.columns

    @property
    def picture_size_px(self) -> tuple[int, int]:
        """Height and width of the letterboxed frame."""
        return self.picture_height_px, self.picture_width_px

    def corners(self) -> list[tuple[int, int]]:
        """Return x and y of the top left corner of each tile, row by row."""
        return [
            (x, y)
            for y in _starts(self.picture_height_px, self.tile_height_px, self)
            for x in _starts(self.picture_width_px, self.tile_width_px, self)
        ]

    def cut(self, picture: Frame, corner: tuple[int, int]) -> Frame:
        """Return one tile, without a copy.

        Args:
            picture: ``[picture_height_px, picture_width_px, 3]`` uint8.
            corner: From ``corners``.

        Returns:
            ``[tile_height_px, tile_width_px, 3]`` uint8.
        """
        x, y = corner
        return picture[y : y + self.tile_height_px, x : x + self.tile_width_px]

    def rectangles(self) -> FloatArray:
        """Return the tiles as boxes of the picture, ``[count, 4]`` float32, xyxy."""
        size = self.tile_width_px, self.tile_height_px
        rows = [(x, y, x + size[0], y + size[1]) for x, y in self.corners()]
        return np.array(rows, np.float32)

    def __str__(self) -> str:
        """Return number, size and overlap of the tiles as a text."""
        return (
            f"{self.count} tiles of {self.tile_width_px} x {self.tile_height_px} px "
            f"({self.columns} x {self.rows}, overlap {self.overlap_px} px or more) of "
            f"a picture of {self.picture_width_px} x {self.picture_height_px} px"
        )


def _starts(extent_px: int, tile_px: int, tiles: Tiles) -> list[int]:
    """Return where tiles start along one side, evenly spread from end to end."""
    room = extent_px - tile_px
    steps = math.ceil(room / (tile_px - tiles.overlap_px))
    return [round(room * step / steps) for step in range(steps + 1)] if steps else [0]
