"""How often a detection with a certain score is right, learned from held-out photos.

A score is not a probability, and each class has its own scale. The share of detections
with about the same score that lie on a label of their class is a probability. A class
with few detections uses the share of all classes together too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import FloatArray, IntArray

# Weight of all classes together, in detections: a step with as many detections of its
# own is half its own share, half theirs.
BORROWED = 10
MAD_TO_SIGMA = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class ReliabilityCurves:
    """Score to the share of detections that are right, for each class."""

    # one for each class: lowest score of each step, ascending, and the share from there
    # on, ascending too
    curves: tuple[tuple[FloatArray, FloatArray], ...]

    def precision(self, scores: FloatArray, labels: IntArray) -> FloatArray:
        """Return the share of detections like these that are right, ``[N]`` in 0..1.

        Args:
            scores: ``[N]`` float32 in 0..1.
            labels: ``[N]`` int64, class of each.
        """
        result = np.zeros(len(scores), np.float32)
        for label, (starts, shares) in enumerate(self.curves):
            mine = labels == label
            step = np.searchsorted(starts, scores[mine], side="right") - 1
            result[mine] = shares[step.clip(0)]
        return result


def fit_reliability(
    scores: FloatArray, labels: IntArray, right: np.ndarray, label_count: int
) -> ReliabilityCurves:
    """Return the share of right detections over the score.

    Args:
        scores: ``[N]`` float32 of all detections, down to a low score.
        labels: ``[N]`` int64.
        right: ``[N]`` bool, which of them lie on a label of their class.

    Source:
        Isotonic regression of right on score, as Zadrozny and Elkan: Transforming
        Classifier Scores into Accurate Multiclass Probability Estimates, KDD 2002.
    """
    starts, shares, _ = _isotonic(scores, right)
    all_classes = ReliabilityCurves(((starts, shares),) * label_count)
    curves = []
    for label in range(label_count):
        mine = labels == label
        starts, shares, weights = _isotonic(scores[mine], right[mine])
        same = np.full(len(starts), label, np.int64)
        borrowed = all_classes.precision(starts, same)
        mixed = (weights * shares + BORROWED * borrowed) / (weights + BORROWED)
        # two rising curves mixed with changing weights may fall somewhere
        curves.append((starts, np.maximum.accumulate(mixed).astype(np.float32)))
    return ReliabilityCurves(tuple(curves))


def _isotonic(
    scores: FloatArray, right: np.ndarray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return steps of a rising share: lowest score, share and weight of each.

    Pool adjacent violators: a step that is not above the one before it is joined with
    it. Shares are compared as whole numbers crosswise, so that equal ones are joined.
    Without any detection: one step of share 0.
    """
    levels, inverse = np.unique(scores, return_inverse=True)
    weights = np.bincount(inverse, minlength=len(levels))
    hits = np.bincount(inverse, weights=right, minlength=len(levels))
    steps: list[tuple[float, float, float]] = []  # lowest score, hits, weight
    for start, hit, weight in zip(levels, hits, weights, strict=True):
        step = float(start), float(hit), float(weight)
        while steps and steps[-1][1] * step[2] >= step[1] * steps[-1][2]:
            before = steps.pop()
            step = before[0], before[1] + step[1], before[2] + step[2]
        steps.append(step)
    table = np.array(steps or [(0.0, 0.0, 0.0)], np.float32)
    return table[:, 0], table[:, 1] / table[:, 2].clip(1), table[:, 2]


def tail(values: Sequence[float] | FloatArray, at: FloatArray) -> FloatArray:
    """Return the largest share of values that can lie as far above the median.

    Args:
        values: ``[N]`` of a class.
        at: ``[M]`` values in question.

    Returns:
        ``[M]`` float32 in 0..1; 1 at the median and below.

    Source:
        Cantelli's inequality, 1 / (1 + z^2) for any distribution, with median and
        ``MAD_TO_SIGMA`` median absolute deviations for mean and standard deviation,
        so that the few far values do not widen the spread that they are compared with.
    """
    known = np.asarray(values, np.float32)
    middle = float(np.median(known))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(known - middle)))
    z = ((at - middle) / max(spread, 1e-6)).clip(0)
    result: FloatArray = (1 / (1 + z**2)).astype(np.float32)
    return result
