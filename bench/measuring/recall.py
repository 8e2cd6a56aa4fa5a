"""Recall of defects at given numbers of alarmed good parts.

The thresholds are the best ones for exactly the photos that are measured: an upper
bound of what a package can reach, used to compare two trainings.
"""

from collections.abc import Sequence

from models.detections import Detections
from models.manifest import ThresholdRule
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import true_positives
from trainer.evaluation.thresholds.choose import SelectionRule, select_thresholds
from trainer.evaluation.thresholds.search import score_images

ALARMED = (0, 1, 2, 4, 8, 15)  # good parts


def recalls(
    found: Sequence[Detections], photos: Sequence[Photo], classes: int
) -> dict[int, float]:
    """Return the recall for each number of good parts alarmed."""
    pairs = list(zip(found, photos, strict=True))
    images = score_images(found, photos)
    good = sum(photo.is_good for photo in photos)
    defects = sum(len(photo.labels) for photo in photos)
    result = {}
    for alarmed in ALARMED:
        selection = SelectionRule(ThresholdRule.OVERKILL, alarmed / good)
        limits = select_thresholds(images, classes, selection)
        right = sum(int(true_positives(one.above(limits), p).sum()) for one, p in pairs)
        result[alarmed] = right / defects
    return result
