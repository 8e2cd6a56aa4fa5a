"""Which scores of new parts a threshold must pass over, from those of held-out parts.

Split conformal prediction. Of ``n`` held-out parts and one new part like them, each is
equally likely to have the highest score, the second highest, and so on. So a new part
scores above the ``j``-th highest of the ``n`` with probability at most ``j / (n + 1)``,
whatever the detector and the scores are. Two things are required: the parts are
exchangeable (the same part, camera and light), and nothing else was chosen on these
scores. Given the ``n`` parts, the share of new parts above their ``j``-th highest score
has the distribution Beta(j, n + 1 - j); its 95 % point is the Clopper-Pearson bound of
``j - 1`` hits (``trainer.evaluation.intervals``).

Parts of one group (lot, day, design) are not independent. For a part of a group that
was not seen, each of the ``G`` groups weighs the same, and the unseen group counts as
one of ``G + 1``: below ``1 / (G + 1)`` nothing is guaranteed without assumptions. The
threshold keeps the share in the mean over the groups. To keep the guarantee below the
share too, nearly no part of any group may be alarmed, and most of the recall is lost.

Where low scores are the errors (a defective part escapes), all scores are negated.

Source:
    Vovk, Gammerman and Shafer 2005; Lei et al., arXiv:1604.04173 (split conformal);
    Vovk, arXiv:1209.2673 (the Beta distribution). Groups: Lee, Barber and Willett,
    arXiv:2306.06342 (hierarchical conformal prediction).
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

DIGITS = 4  # of a stored threshold
STEPS = 10**DIGITS
ROUNDING = 1e-9  # 0.29 * 100 is 28.999...

Scores = npt.NDArray[np.float64]


def rank_of(share: float, parts: int) -> int:
    """Return which highest score a new part may exceed in at most a share of cases.

    Args:
        share: Above 0, at most 1.
        parts: Held-out parts.

    Returns:
        At least 1: with too few parts the highest score, for a larger share.

    >>> [rank_of(0.02, parts) for parts in (0, 48, 49, 98, 99)]
    [1, 1, 1, 1, 2]
    """
    return max(1, math.floor(share * (parts + 1) + ROUNDING))


def promised_share(rank: int, parts: int) -> float:
    """Return the largest share of new parts above the highest score of a rank.

    >>> promised_share(1, 49), promised_share(1, 0)
    (0.02, 1.0)
    """
    return min(1.0, rank / (parts + 1))


def parts_needed(share: float) -> int:
    """Return how many parts, or groups, can promise a share.

    Args:
        share: Above 0, at most 1.

    >>> [parts_needed(share) for share in (0.02, 0.01, 0.3, 1.0)]
    [49, 99, 3, 0]
    """
    return math.ceil(1 / share - ROUNDING) - 1


def score_at(rank: int, scores: Scores) -> float:
    """Return the highest score of a rank; below all of them there is minus infinity.

    >>> score_at(2, np.array([0.1, 0.9, 0.5])), score_at(4, np.array([0.1, 0.9, 0.5]))
    (0.5, -inf)
    """
    if rank > len(scores):
        return -math.inf
    return float(np.sort(scores)[-rank])


def promised_unseen(share: float, groups: int) -> float:
    """Return the share that ``score_of_groups`` guarantees in a group not seen.

    The new group counts as one more, with all of its parts above the score.

    >>> round(promised_unseen(0.02, 6), 4), round(promised_unseen(0.1, 49), 4)
    (0.16, 0.118)
    """
    return (1 + share * groups) / (groups + 1)


def score_of_groups(share: float, scores: Scores, groups: Sequence[Hashable]) -> float:
    """Return the lowest score that at most a share exceeds, by the mean over groups.

    Each group weighs the same, whatever the number of its parts.

    Args:
        share: Above 0, at most 1.
        scores: ``[N]``, N > 0.
        groups: ``[N]`` group of each part.

    >>> scores = np.array([0.9, 0.8, 0.7, 0.1, 0.2, 0.3])
    >>> score_of_groups(0.2, scores, "aaabbb")  # 1 of 3 in one of two groups: 17 %
    0.8
    >>> score_of_groups(0.1, scores, "aaabbb")
    0.9
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    index = np.array([numbers[group] for group in groups], np.int64)
    sizes = np.bincount(index)
    order = np.argsort(-scores, kind="stable")
    weights = 1 / sizes[index[order]]  # [N] the weight of a part in its group
    ordered = scores[order]
    above = np.concatenate(([0.0], weights.cumsum()[:-1]))
    above = above[np.searchsorted(-ordered, -ordered)]  # equal scores exceed nothing
    allowed = share * len(sizes) + ROUNDING
    return float(ordered[np.flatnonzero(above <= allowed)[-1]])


def just_above(score: float) -> float:
    """Return the lowest threshold, as it is stored, that a score does not reach.

    Detections count from the threshold on, compared in float32.

    >>> just_above(0.5), just_above(0.12345), just_above(float(np.float32(0.8124)))
    (0.5001, 0.1235, 0.8125)
    """
    steps = math.floor(score * STEPS)
    while np.float32(steps / STEPS) <= np.float32(score):
        steps += 1
    threshold: float = steps / STEPS
    return threshold


def at_most(score: float) -> float:
    """Return the highest threshold, as it is stored, that a score reaches.

    >>> at_most(0.5), at_most(0.12345), at_most(float(np.float32(0.8124)))
    (0.5, 0.1234, 0.8124)
    """
    steps = math.ceil(score * STEPS)
    while np.float32(steps / STEPS) > np.float32(score):
        steps -= 1
    threshold: float = steps / STEPS
    return threshold
