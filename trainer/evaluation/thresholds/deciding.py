"""Good parts that alone decide the threshold, at the cost of many defects.

The threshold lies above the scores of nearly all held-out good parts. One of them that
shows an overlooked defect, or that is of another product, can raise it above most
defects: a person should look at it.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from models.counted import agreeing, counted
from models.detections import Detections
from models.manifest import PromiseBasis, ThresholdRule, Thresholds
from models.shown_text import printable
from trainer.data.dataset import Dataset, Photo
from trainer.evaluation.thresholds.choose import limited
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.evaluation.thresholds.parts import CountedParts, PhotoOrigins
from trainer.evaluation.thresholds.scored import ScoredImage, by_kind, score_images

MOST_PARTS = 3  # that together decide it
LEAST_GAIN = 0.05  # of recall: less is no reason to look


@dataclass(frozen=True, slots=True)
class DecidingPhotos:
    """Photos of the good parts that decide a threshold, and what it costs."""

    photos: tuple[tuple[Photo, Detections], ...]  # highest score first
    parts: int
    threshold: float
    threshold_without: float
    recall: float
    recall_without: float

    def sentence(self, dataset: Dataset) -> str:
        """Return what decides the threshold, and what to do, for a person."""
        names = [
            f"{printable(dataset.relative(photo.path))} "
            f"({dataset.labels[int(found.labels[0])]}, score {found.scores[0]:.2f})"
            for photo, found in self.photos
        ]
        decides = agreeing(self.parts, "decides", "decide")
        them = agreeing(self.parts, "it", "them")
        return (
            f"{counted(self.parts, 'good part')} {decides} the threshold: "
            f"{', '.join(names)}. Without {them} {self.recall_without:.0%} of the "
            f"defects would be found at a threshold of {self.threshold_without:.2f}, "
            f"not {self.recall:.0%} at {self.threshold:.2f}. Look at {them}: label a "
            "defect that is there, move another product out of good/, and train again. "
            "A part that is good stays: the promise counts it."
        )


def deciding_photos(
    found: Sequence[Detections],
    photos: Sequence[Photo],
    thresholds: Thresholds,
    origins: PhotoOrigins,
) -> DecidingPhotos | None:
    """Return the good parts without which many more defects would be found.

    Args:
        found: One for each photo, as the thresholds were chosen on.
        thresholds: One score for all classes.
        origins: As for ``choose_thresholds``.

    Returns:
        None where no ``MOST_PARTS`` of them, or fewer, cost ``LEAST_GAIN`` of recall,
        or the threshold promises nothing of good parts, or of other detectors.
    """
    promise, target = thresholds.promise, thresholds.target
    is_overkill = thresholds.rule is ThresholdRule.OVERKILL
    if not (is_overkill and promise and target) or promise.basis is PromiseBasis.FOLDS:
        return None
    images, limit = score_images(found, photos), ErrorLimit(thresholds.rule, target)
    scores, boxes = _right_scores(images), sum(len(photo.labels) for photo in photos)
    threshold = max(thresholds.scores.values())
    recall = _share_at(threshold, scores, boxes)
    left_out: dict[Hashable, None] = {}
    for image in sorted(by_kind(images)[0], key=lambda image: -image.highest):
        left_out.setdefault(_scene(image, origins))
        rest = [one for one in images if _scene(one, origins) not in left_out]
        parts = CountedParts.of(by_kind(rest)[0], origins)
        if len(left_out) > MOST_PARTS or not len(parts.scores):
            return None
        without = limited(rest, parts, limit)
        gained = _share_at(without, scores, boxes)
        if gained - recall >= LEAST_GAIN:
            shown = [i for i in images if _scene(i, origins) in left_out]
            shown = [i for i in by_kind(shown)[0] if len(i.found)]
            shown.sort(key=lambda image: -image.highest)
            rows = tuple((one.photo, one.found) for one in shown)
            return DecidingPhotos(
                rows, len(left_out), threshold, without, recall, gained
            )
    return None


def _scene(image: ScoredImage, origins: PhotoOrigins) -> Hashable:
    return origins.scenes.get(image.photo.sha256, image.photo.sha256)


def _right_scores(images: Sequence[ScoredImage]) -> np.ndarray:
    return np.concatenate([image.found.scores[image.right] for image in images])


def _share_at(threshold: float, scores: np.ndarray, boxes: int) -> float:
    return float((scores >= np.float32(threshold)).sum() / max(1, boxes))
