"""Golden frames on which the class ``unknown`` has something to find.

Good parts have no detection that could be compared, and defects may not be at hand. A
square of a good photo, turned, inverted and put elsewhere, is what no good part shows.
"""

from collections.abc import Sequence

import numpy as np

from models.preprocess import Frame
from trainer.data.dataset import Photo, read_photo

FRAMES = 4
SIDE = 1 / 6  # of the shorter side of the photo


def disturbed_frames(photos: Sequence[Photo], seed: int) -> list[Frame]:
    """Return good photos, each with a square that does not belong there.

    Args:
        photos: The first good ones by hash are used.
    """
    good = sorted((p for p in photos if p.is_good), key=lambda photo: photo.sha256)
    generator = np.random.default_rng(seed)
    return [disturbed(read_photo(photo), generator) for photo in good[:FRAMES]]


def disturbed(picture: Frame, generator: np.random.Generator) -> Frame:
    """Return a picture with one square of it turned, inverted and moved."""
    height, width = picture.shape[:2]
    side = max(1, round(SIDE * min(height, width)))
    (from_y, from_x), (y, x) = (
        generator.integers(0, [height - side + 1, width - side + 1]) for _ in range(2)
    )
    square = picture[from_y : from_y + side, from_x : from_x + side]
    result = picture.copy()
    result[y : y + side, x : x + side] = 255 - np.rot90(square)
    return result
