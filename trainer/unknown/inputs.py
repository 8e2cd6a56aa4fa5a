"""The inputs of a photo, itself or its tiles, and where a cell of them lies on it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.boxes import Boxes, FloatArray
from models.heat_map import CELL_PX
from models.preprocess import Frame, Letterbox, letterbox_image, planar
from models.tiles import Tiles
from trainer.data.dataset import Photo, read_photo
from trainer.detectors.lite0 import Lite0
from trainer.detectors.patch_memory import neighbourhood
from trainer.detectors.yolox import YOLOX

Corner = tuple[int, int]  # x and y on the letterboxed photo, px


@dataclass(frozen=True, slots=True)
class PhotoInputs:
    """How photos become inputs.

    Attributes:
        size_px: Height and width of the input.
        tiles: How photos are cut; None = not at all.
    """

    size_px: tuple[int, int]
    tiles: Tiles | None = None

    @property
    def picture_size_px(self) -> tuple[int, int]:
        """Height and width that a photo is scaled and padded to."""
        return self.tiles.picture_size_px if self.tiles else self.size_px

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells of one input."""
        height, width = self.size_px
        return height // CELL_PX, width // CELL_PX

    def mapping(self, photo: Photo) -> Letterbox:
        """Return how a photo is scaled."""
        return Letterbox(photo.height_px, photo.width_px, *self.picture_size_px)

    def corners(self, photo: Photo) -> list[Corner]:
        """Return the top left corners of the inputs that show a part of the photo."""
        if self.tiles is None:
            return [(0, 0)]
        height, width = self.mapping(photo).content_size_px
        return [(x, y) for x, y in self.tiles.corners() if x < width and y < height]

    def images(self, photo: Photo) -> Iterator[Frame]:
        """Yield the inputs, ``[H, W, 3]`` uint8, in the order of ``corners``."""
        picture, _ = letterbox_image(read_photo(photo), *self.picture_size_px)
        height, width = self.size_px
        for x, y in self.corners(photo):
            yield np.ascontiguousarray(picture[y : y + height, x : x + width])

    def place(self, photo: Photo, distances: FloatArray, usual: float) -> Boxes:
        """Return the box around the most unlike cell of a photo.

        Around it lie the cells that are nearly as unlike, as in the box of a detection.

        Args:
            distances: ``[P]`` of the cells of all inputs, in their order.
            usual: Distance of the usual good part.

        Returns:
            ``[4]`` float32, xyxy, pixels of the photo.
        """
        rows, columns = self.grid
        maps = distances.reshape(-1, rows, columns)
        highest = np.unravel_index(int(maps.argmax()), maps.shape)
        image, row, column = (int(index) for index in highest)
        reach = neighbourhood(rows, columns)
        top, left = max(0, row - reach), max(0, column - reach)
        around = maps[image, top : row + reach + 1, left : column + reach + 1]
        y, x = np.nonzero(2 * around >= around.max() + usual)
        if not len(y):  # a photo that is more usual than most
            y, x = np.array([row - top]), np.array([column - left])
        corner_x, corner_y = self.corners(photo)[image]
        box = np.array(
            [
                (left + x.min()) * CELL_PX + corner_x,
                (top + y.min()) * CELL_PX + corner_y,
                (left + x.max() + 1) * CELL_PX + corner_x,
                (top + y.max() + 1) * CELL_PX + corner_y,
            ],
            np.float32,
        )
        place: Boxes = self.mapping(photo).boxes_to_frame(box[None])[0]
        return place


def feature_maps(network: YOLOX | Lite0, image: Frame) -> list[Tensor]:
    """Return the backbone's maps of one input.

    Args:
        network: In evaluation mode.
        image: ``[H, W, 3]`` uint8, BGR, of the input's size.
    """
    device = next(network.parameters()).device
    tensor = torch.from_numpy(planar(image)).to(device)
    tensor = tensor.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        return list(network.feature_maps(tensor))
