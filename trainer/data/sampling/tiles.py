"""Tiles of the training photos: cut as the line PC cuts its frames.

Each tile of ``models.tiles`` counts as a photo. A box of which more than
``MIN_VISIBLE_SHARE`` is left in a tile is learned, clipped to the tile; a smaller rest
is not recognizable. A tile that shows nothing but such rests is neither good nor
defective, and is left out. All others without a box are good parts, sampled by the
usual ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.boxes import Boxes, area, clip
from models.preprocess import Frame, Letterbox, letterbox_image
from models.tiles import Tiles
from trainer.data.dataset import Photo, read_photo
from trainer.data.sampling.augmentation import (
    CACHE_MAX_BYTES,
    MIN_VISIBLE_SHARE,
    TrainingPhotos,
)


@dataclass(frozen=True, slots=True)
class PhotoTile:
    """One tile of a photo."""

    photo: Photo
    corner: tuple[int, int]  # x and y of the tile in the letterboxed photo
    as_photo: Photo  # the tile as a separate photo, with its boxes in its own pixels


def cut_photo(photo: Photo, tiles: Tiles) -> list[PhotoTile]:
    """Return the tiles of a photo that can be trained on."""
    mapping = Letterbox(photo.height_px, photo.width_px, *tiles.picture_size_px)
    boxes = mapping.boxes_to_input(photo.boxes)
    height, width = tiles.tile_height_px, tiles.tile_width_px
    content_height, content_width = mapping.content_size_px
    result = []
    for x, y in tiles.corners():
        if x >= content_width or y >= content_height:
            continue  # nothing but padding
        moved = boxes - np.array([x, y, x, y], np.float32)
        inside = clip(moved, width, height)
        left = area(inside)
        kept = left > MIN_VISIBLE_SHARE * area(boxes)
        if (left > 0).any() and not kept.any():
            continue
        as_photo = replace(
            photo,
            width_px=width,
            height_px=height,
            boxes=inside[kept],
            labels=photo.labels[kept],
            places=(),
        )
        result.append(PhotoTile(photo, (x, y), as_photo))
    return result


def read_tile(tile: PhotoTile, tiles: Tiles) -> Frame:
    """Return the pixels of a tile, ``[tile_height_px, tile_width_px, 3]`` uint8.

    Raises:
        DatasetError: The photo cannot be read any more.
    """
    picture, _ = letterbox_image(read_photo(tile.photo), *tiles.picture_size_px)
    return np.ascontiguousarray(tiles.cut(picture, tile.corner))


class TrainingTiles(TrainingPhotos):
    """Tiles of photos, augmented as photos are.

    Args:
        pastes: Put defects of other tiles onto some, most often onto good parts.
        turns: Tiles and pasted defects are also turned by 90 degrees.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        tiles: Tiles,
        *,
        pastes: bool = False,
        turns: bool = True,
    ) -> None:
        self._tiles = tiles
        self._cut = [tile for photo in photos for tile in cut_photo(photo, tiles)]
        self._kept: dict[int, Frame] = {}
        size_px = tiles.tile_height_px, tiles.tile_width_px
        self._room = CACHE_MAX_BYTES // (3 * size_px[0] * size_px[1])
        photos = [tile.as_photo for tile in self._cut]
        super().__init__(photos, *size_px, pastes=pastes, turns=turns)

    def _read_with_boxes(self, index: int) -> tuple[Frame, Boxes]:
        """Return a tile and its boxes, from memory where there is room."""
        if (picture := self._kept.get(index)) is None:
            picture = read_tile(self._cut[index], self._tiles)
            if len(self._kept) < self._room:
                self._kept[index] = picture
        return picture, self.photos[index].boxes
