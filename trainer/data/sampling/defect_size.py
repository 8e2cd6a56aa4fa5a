"""Whether the labelled defects are large in their photos.

Weights of real photos know large objects: a network that finds large defects needs
little change, and a high learning rate or pasted defects cost accuracy. Defects that
are small in the photo, such as pores in metal, look like nothing in those photos, and
need a higher rate. Measured on several products: bench/results/products.
"""

from collections.abc import Sequence

import numpy as np

from trainer.data.dataset import Photo

# Of the photo's longer side. Medians of the products measured: 0.01 to 0.07 of those
# that gained from the higher rate, 0.21 to 0.33 of those that lost.
LARGE_SHARE = 0.125


def are_large(photos: Sequence[Photo]) -> bool:
    """Return whether half of the boxes are longer than an eighth of their photo.

    Args:
        photos: Training photos; without boxes defects count as small.
    """
    shares = [_longer_sides(photo) for photo in photos if len(photo.boxes)]
    return bool(shares) and float(np.median(np.concatenate(shares))) > LARGE_SHARE


def _longer_sides(photo: Photo) -> np.ndarray:
    """Return the longer side of each box as a share of the photo's, ``[G]``."""
    sides: np.ndarray = (photo.boxes[:, 2:] - photo.boxes[:, :2]).max(axis=1)
    return sides / max(photo.height_px, photo.width_px)
