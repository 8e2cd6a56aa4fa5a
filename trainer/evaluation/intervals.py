"""How far a share counted on a few photos may lie from the true share.

If none of 40 defective parts escapes, the true share of escapes is at most 7.2 % with
95 % confidence: at 7.2 %, forty parts in a row are all caught one time in twenty. 598
parts without an escape show half a percent.
"""

import math
from collections.abc import Sequence

from scipy.optimize import brentq
from scipy.special import betaincinv

CONFIDENCE = 0.95
Z_95 = 1.959964  # two-sided 95 % of the normal distribution
TINY = 1e-9  # beside an end of 0..1, where a variance of 0 is a root of its own


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Return the two-sided 95 % interval of a share; 0 to 1 without any trial.

    Source:
        Wilson 1927, score interval; recommended for small samples by Brown, Cai and
        DasGupta 2001.
    """
    if trials == 0:
        return 0.0, 1.0
    share, z2 = hits / trials, Z_95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    half = Z_95 * spread / (1 + z2 / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def upper_bound(hits: int, trials: int) -> float:
    """Return the share that is not exceeded with 95 % confidence, one-sided and exact.

    Args:
        trials: Number of photos; 0 proves nothing and gives 1.

    Source:
        Clopper and Pearson 1934. Without a hit it is ``1 - 0.05 ** (1 / n)``, near the
        rule of three, ``3 / n`` (Hanley and Lippman-Hand 1983).

    >>> round(upper_bound(0, 40), 3)
    0.072
    """
    if hits >= trials:
        return 1.0  # the beta distribution has no density here
    return float(betaincinv(hits + 1, trials - hits, CONFIDENCE))


def auroc_of(
    good: Sequence[float], defective: Sequence[float]
) -> tuple[float, tuple[float, float]] | None:
    """Return the area under the ROC of two samples of scores, with its 95 % interval.

    Args:
        good: Scores of good parts, which should be lower.
        defective: Scores of defective parts.

    Returns:
        The share of pairs in the right order, ties by half; None without any pair.

    Source:
        Newcombe 2006, method 5: the variance of Hanley and McNeil 1982 at the ends of
        the interval, not at the estimate, so that a perfect order has an interval too.

    >>> auroc_of([0.1, 0.2], [0.3, 0.2])[0]
    0.875
    >>> auroc_of([], [0.3]) is None
    True
    """
    if not good or not defective:
        return None
    pairs = len(good) * len(defective)
    ordered = sum((b > a) + 0.5 * (b == a) for b in defective for a in good)
    area = ordered / pairs
    half = (len(good) + len(defective)) / 2 - 1

    def outside(theta: float) -> float:
        skewed = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + half * skewed) / pairs
        return (theta - area) ** 2 - Z_95**2 * variance

    lower = brentq(outside, 0.0, min(area, 1 - TINY)) if area > 0 else 0.0
    upper = brentq(outside, max(area, TINY), 1.0) if area < 1 else 1.0
    return area, (float(lower), float(upper))


def trials_to_show(share: float) -> int:
    """Return how many photos without an event show that a share is not exceeded.

    Args:
        share: Above 0, at most 1.

    >>> trials_to_show(0.005)
    598
    """
    if share >= 1:
        return 1
    return math.ceil(math.log1p(-CONFIDENCE) / math.log1p(-share))
