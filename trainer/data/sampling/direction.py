"""Whether the labelled boxes keep a direction of the picture, as rolled steel does.

Scratches along the rolling direction, or cracks across a web, look the same in every
photo: a photo that is turned by 90 degrees shows a part that the camera never sees, and
training on it costs accuracy. Parts that lie under the camera in any direction have
boxes that are as often high as wide, and gain from quarter turns.

The measure, for each class: the mean of ``log(width / height)`` of its boxes, divided
by the root of its mean square. It is 1 where all boxes are elongated alike, and near 0
where as many are high as are wide. Square boxes have no direction.
"""

from collections.abc import Sequence

import numpy as np

from models.boxes import FloatArray
from trainer.data.dataset import Photo

SAME_DIRECTION = 0.6  # of the measure, from which a class keeps its direction
LEAST_ELONGATION = 0.15  # of the root mean square: below, boxes are squares
LEAST_BOXES = 10  # of a class; fewer say nothing about its direction
SHARE_OF_BOXES = 0.25  # in classes that keep their direction


def keeps_direction(photos: Sequence[Photo]) -> bool:
    """Return whether quarter turns would show pictures that the camera never sees.

    Args:
        photos: Training photos; without boxes nothing is known, and they may be turned.
    """
    elongations = _elongations(photos)
    counted = {label: values for label, values in elongations.items() if len(values)}
    total = sum(len(values) for values in counted.values())
    kept = sum(len(v) for v in counted.values() if _is_directed(v))
    return total > 0 and kept >= SHARE_OF_BOXES * total


def _elongations(photos: Sequence[Photo]) -> dict[int, FloatArray]:
    """Return ``log(width / height)`` of the boxes of each label, ``[G]``."""
    rows: dict[int, list[float]] = {}
    for photo in photos:
        for box, label in zip(photo.boxes, photo.labels, strict=True):
            width, height = float(box[2] - box[0]), float(box[3] - box[1])
            if width > 0 and height > 0:
                rows.setdefault(int(label), []).append(float(np.log(width / height)))
    return {label: np.array(values, np.float32) for label, values in rows.items()}


def _is_directed(elongations: FloatArray) -> bool:
    """Return whether the boxes of a class are elongated in one direction."""
    if len(elongations) < LEAST_BOXES:
        return False
    root_mean_square = float(np.sqrt(np.mean(np.square(elongations))))
    if root_mean_square < LEAST_ELONGATION:
        return False
    return abs(float(elongations.mean())) >= SAME_DIRECTION * root_mean_square
