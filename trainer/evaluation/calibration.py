"""Makes the scores of the classes comparable, so that one threshold suits them all.

At a score of 0.9 a network is wrong more often with one class than with another. A
threshold for all classes is then as high as the worst class needs. So the odds of a
score, ``s / (1 - s)``, are multiplied by a factor for its class. The order inside a
class, and with it average precision, stays.

The factors are fitted on held-out photos with a defect. Good parts, which choose the
threshold and promise a share of alarms, have no part in it.

Source:
    Platt, "Probabilistic outputs for support vector machines", 1999: logistic
    regression of "the detection is right" on its score; here with a slope of one and
    an intercept for each class. Measured: bench/results/calibration.json.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.boxes import FloatArray
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import true_positives

LOWEST_SCORE = 0.1  # as the lowest threshold: lower scores are never reported
# Weight of "as all classes together", near which a class with few detections stays.
PRIOR = 20.0
NEWTON_STEPS = 50
LARGEST_STEP = 1.0  # of an intercept

Array = npt.NDArray[np.float64]


def fit_class_odds(
    found: Sequence[Detections], photos: Sequence[Photo], classes: int
) -> FloatArray | None:
    """Return the factor for the odds of each class, ``[C]`` float32, above 0.

    Args:
        found: One for each photo, down to a low score.
        photos: Held out; those of good parts are left out.
        classes: C.

    Returns:
        None with one class, or where no detection is right or none is wrong.
    """
    defective = [
        (detections, true_positives(detections, photo))
        for detections, photo in zip(found, photos, strict=True)
        if not photo.is_good
    ]
    if classes < 2 or not defective:
        return None
    scores = np.concatenate([each.scores for each, _ in defective])
    counts = scores >= LOWEST_SCORE
    labels = np.concatenate([each.labels for each, _ in defective])[counts]
    right = np.concatenate([right for _, right in defective])[counts]
    if right.all() or not right.any():
        return None
    logits = _logit(scores[counts].astype(np.float64))
    common = _intercept(logits, right)
    intercepts = np.full(classes, common)
    for number in range(classes):
        of_class = labels == number
        intercepts[number] = _intercept(
            logits[of_class], right[of_class], common, PRIOR
        )
    odds: FloatArray = np.exp(intercepts - common).astype(np.float32)
    return odds


def with_odds(detections: Detections, odds: FloatArray) -> Detections:
    """Return detections whose scores have the odds of their class, best first.

    Args:
        odds: ``[C]``, from ``fit_class_odds``.
    """
    factors, scores = odds[detections.labels], detections.scores
    scores = factors * scores / (1 + (factors - 1) * scores)
    order = np.argsort(-scores, kind="stable")
    return replace(detections, scores=scores.astype(np.float32)).select(order)


def _intercept(
    logits: Array, right: Array, usual: float = 0.0, prior: float = 0.0
) -> float:
    """Return the intercept of a logistic regression with a slope of one.

    Args:
        logits: ``[N]``.
        right: ``[N]`` bool; without a prior some are true and some are not.
        usual: Where it is without any detection.
        prior: Weight of that.
    """
    intercept = usual
    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-(logits + intercept)))
        slope = (chance - right).sum() + prior * (intercept - usual)
        step = slope / ((chance * (1 - chance)).sum() + prior)
        intercept -= float(np.clip(step, -LARGEST_STEP, LARGEST_STEP))
    return intercept


def _logit(scores: Array) -> Array:
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    logits: Array = np.log(clipped / (1 - clipped))
    return logits
