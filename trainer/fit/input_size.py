"""The size of the input, chosen from the photos if it is not given.

A detector of stride 8 misses a defect that is less than 8 pixels wide. Photos are
shrunk for speed, and the smallest usual box limits how far.
"""

import math
from collections.abc import Sequence

import numpy as np

from trainer.data.dataset import Photo

USUAL_INPUT_PX = 640  # of the longer side, where the photos have as much
LARGEST_INPUT_PX = 1024  # 2.6 times the work of 640 px: a line PC still keeps up
SMALLEST_BOX_PX = 8.0  # finest stride of the detectors
SMALL_BOXES = 10  # per cent of the boxes that may be smaller still
SIZE_MULTIPLE_PX = 32


def input_size(photos: Sequence[Photo], size_px: int | None) -> tuple[int, int]:
    """Return height and width of the input: the photos' shape, not enlarged.

    Args:
        size_px: Longer side; None = that of the photos, at most
            ``USUAL_INPUT_PX``, or up to ``LARGEST_INPUT_PX`` where the shorter side of
            small boxes would be below ``SMALLEST_BOX_PX``.
    """
    height = float(np.median([photo.height_px for photo in photos]))
    width = float(np.median([photo.width_px for photo in photos]))
    longer = max(height, width)
    # An enlarged photo has no more detail.
    side = size_px or min(longer, LARGEST_INPUT_PX, _side_wanted(photos))
    sides = [
        max(1, math.ceil(edge * side / longer / SIZE_MULTIPLE_PX)) * SIZE_MULTIPLE_PX
        for edge in (height, width)
    ]
    return sides[0], sides[1]


def _side_wanted(photos: Sequence[Photo]) -> float:
    """Return the longer side at which small boxes are still detected."""
    small = small_box_share(photos)
    if small is None:
        return USUAL_INPUT_PX
    return max(USUAL_INPUT_PX, SMALLEST_BOX_PX / small)


def small_box_share(photos: Sequence[Photo]) -> float | None:
    """Return the shorter side of small boxes as a share of their photo's longer side.

    Returns:
        Above 0; None if there is no box.
    """
    shares = [
        (photo.boxes[:, 2:] - photo.boxes[:, :2]).min(axis=1)
        / max(photo.height_px, photo.width_px)
        for photo in photos
        if len(photo.boxes)
    ]
    if not shares:
        return None
    return max(float(np.percentile(np.concatenate(shares), SMALL_BOXES)), 1e-6)
