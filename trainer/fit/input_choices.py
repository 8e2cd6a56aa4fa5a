"""The inputs that a training can have where the usual one takes too long.

What was given as an option (``--size``, ``--tiles``) is kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.data.dataset import Photo
from trainer.fit.input_size import (
    SIZE_MULTIPLE_PX,
    SMALLEST_BOX_PX,
    input_size,
    small_box_share,
)
from trainer.fit.options import Recipe, TrainOptions
from trainer.fit.tiling import TileMode

SMALLEST_INPUT_PX = 320  # of the longer side; below, whole parts become too small


@dataclass(frozen=True, slots=True)
class InputChoice:
    """One input, and the pixels that a step and a photo take with it.

    Attributes:
        size_px: Longer side, without tiles; None = as the options choose.
        photo_pixels: Sum over all tiles of a photo.
        keeps_small_defects: Small boxes have ``SMALLEST_BOX_PX`` or more.
    """

    size_px: int | None
    height_px: int
    width_px: int
    photo_pixels: int
    keeps_small_defects: bool = True

    @property
    def step_pixels(self) -> int:
        """Pixels of one input."""
        return self.height_px * self.width_px

    @property
    def inputs(self) -> int:
        """Inferences of one photo."""
        return self.photo_pixels // self.step_pixels


def input_choices(
    options: TrainOptions, recipe: Recipe, photos: Sequence[Photo]
) -> Iterator[InputChoice]:
    """Yield the inputs from the usual one to the smallest.

    Args:
        recipe: What the options give for the photos.
    """
    height, width = recipe.input_height_px, recipe.input_width_px
    tiles = recipe.tiles.count if recipe.tiles else 1
    yield InputChoice(None, height, width, height * width * tiles)
    is_given = options.size_px is not None and not options.size_is_limit
    if is_given or options.tiles is not TileMode.AUTO:
        return
    longer = max(height, width)
    if recipe.tiles:
        longer = max(input_size(photos, None)) + SIZE_MULTIPLE_PX
    small = small_box_share(photos)
    needed = SMALLEST_BOX_PX / small if small else 0.0
    sides = range(longer - SIZE_MULTIPLE_PX, 0, -SIZE_MULTIPLE_PX)
    for side in (each for each in sides if each >= SMALLEST_INPUT_PX):
        height, width = input_size(photos, side)
        yield InputChoice(side, height, width, height * width, side >= needed)
