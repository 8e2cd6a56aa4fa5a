"""Photos with their detections, as thresholds are chosen and drawn from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import true_positives


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """One photo with its detections."""

    found: Detections  # detections down to a low score
    photo: Photo
    right: np.ndarray  # [N] bool, which detections are true positives

    @property
    def highest(self) -> float:
        """The highest score; 0 without a detection."""
        return float(self.found.scores.max(initial=0))


def score_images(
    found: Sequence[Detections], photos: Sequence[Photo]
) -> list[ScoredImage]:
    """Return photos with their detections, and which of these are right.

    Args:
        found: One for each photo, down to a low score.
    """
    return [
        ScoredImage(detections, photo, true_positives(detections, photo))
        for detections, photo in zip(found, photos, strict=True)
    ]


def highest_scores(images: Sequence[ScoredImage], label_count: int) -> FloatArray:
    """Return the highest score of each class on each photo, ``[N, C]``; 0 = none."""
    result: FloatArray = np.zeros((len(images), label_count), np.float32)
    for row, image in zip(result, images, strict=True):
        np.maximum.at(row, image.found.labels, image.found.scores)
    return result


def by_kind(
    images: Sequence[ScoredImage],
) -> tuple[list[ScoredImage], list[ScoredImage]]:
    """Return good and defective photos."""
    good = [image for image in images if image.photo.is_good]
    return good, [image for image in images if not image.photo.is_good]
