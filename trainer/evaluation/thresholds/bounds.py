"""What a number of photos can prove, in exact binomial terms.

None of 40 defective parts escaped: that does not mean that none ever will. With 95 %
confidence at most 7.2 % do, because at 7.2 % forty parts in a row would all be caught
one time in twenty. Half a percent is shown by 598 parts without an escape.

Source:
    Clopper and Pearson 1934, the exact one-sided interval; with no hit it is
    ``1 - 0.05 ** (1 / n)``, near the rule of three, ``3 / n`` (Hanley and
    Lippman-Hand 1983).
"""

import math

CONFIDENCE = 0.95
BISECTIONS = 60  # halves 0..1 down to the last bit of a float


def upper_bound(hits: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Return the share that is not exceeded, one-sided and exact.

    Args:
        hits: How often it happened.
        trials: Of how many; 0 proves nothing and gives 1.
        confidence: 0..1.

    >>> round(upper_bound(0, 40), 3)
    0.072
    """
    if hits >= trials:
        return 1.0
    if hits == 0:
        return -math.expm1(math.log1p(-confidence) / trials)
    low, high = hits / trials, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _at_most(hits, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def trials_to_show(share: float, hits: int = 0, confidence: float = CONFIDENCE) -> int:
    """Return how many photos show that a share is not exceeded.

    Args:
        share: Above 0, at most 1.
        hits: How many of them may happen.
        confidence: 0..1.

    >>> trials_to_show(0.005)
    598
    """
    low, high = hits, hits + 1
    while upper_bound(hits, high, confidence) > share:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if upper_bound(hits, middle, confidence) > share:
            low = middle
        else:
            high = middle
    return high


def _at_most(hits: int, trials: int, share: float) -> float:
    """Return the probability of so many hits or fewer; ``share`` inside 0..1."""
    yes, no = math.log(share), math.log1p(-share)
    return sum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * yes
            + (trials - k) * no
        )
        for k in range(hits + 1)
    )
