"""Recall of defects at given numbers of alarmed good parts.

One threshold for all classes, the lowest one for exactly the photos that are measured:
an upper bound of what a package can reach, used to compare two trainings. Earlier
results (``recall_at_good_parts_alarmed``) are of the best combination of one threshold
for each class.
"""

from collections.abc import Sequence

import numpy as np

from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.thresholds.order_statistics import just_above, score_at
from trainer.evaluation.thresholds.scored import by_kind, score_images

ALARMED = (0, 1, 2, 4, 8, 15)  # good parts


def recalls(found: Sequence[Detections], photos: Sequence[Photo]) -> dict[int, float]:
    """Return the recall for each number of good parts alarmed."""
    images = score_images(found, photos)
    good = np.array([image.highest for image in by_kind(images)[0]], np.float64)
    right = np.concatenate([image.found.scores[image.right] for image in images])
    defects = sum(len(photo.labels) for photo in photos)
    result = {}
    for alarmed in ALARMED:
        threshold = just_above(max(0.0, score_at(alarmed + 1, good)))
        result[alarmed] = int((right >= np.float32(threshold)).sum()) / defects
    return result
