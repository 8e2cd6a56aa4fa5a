"""Whether the scores of the alerts have moved since a baseline.

Scores that creep down to the threshold precede escapes: the light, the lens or the
material has changed, or a model without enough examples is in force.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

BINS = 20  # of the width 0.05
PSEUDO_COUNT = 0.5  # Jeffreys: an empty bin has no logarithm
STABLE, SHIFTED = 0.1, 0.25
"""Siddiqi: below 0.1 nothing has changed, above 0.25 it has."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a histogram has moved.

    Attributes:
        index: Population stability index, 0 for equal shares; None where one of the
            histograms is empty.
        noise: What the index stays below in 95 of 100 cases when nothing has changed.
        n: Number of scores now.
        baseline_n: Number of scores before.
    """

    index: float | None
    noise: float | None
    n: int
    baseline_n: int

    @property
    def has_shifted(self) -> bool:
        """Whether the scores have moved, by more than the noise of so few."""
        return (
            self.index is not None
            and self.noise is not None
            and self.index > max(STABLE, self.noise)
        )


def bin_of(score: float) -> int:
    """Return the bin of a score 0..1; the last one includes 1."""
    return min(max(math.floor(score * BINS), 0), BINS - 1)


def drift(counts: Sequence[int], baseline: Sequence[int]) -> Drift:
    """Return how far scores have moved since a baseline.

    The index is the sum of (a_i - b_i) ln(a_i / b_i) over the bins, with the shares
    a_i now and b_i before. Without a change it is distributed about as
    (1/n + 1/m) chi-squared with one degree of freedom less than there are bins;
    ``noise`` is the normal approximation of its 95 % quantile. Bins that are empty in
    both histograms do not count.

    Args:
        counts: Number of scores in each bin now.
        baseline: The same of the time before.

    Source:
        Siddiqi, Credit Risk Scorecards (2006), for the index and its limits 0.1 and
        0.25; Yurdakul and Naranjo, "Statistical properties of the population stability
        index", Journal of Risk Model Validation 14 (2020), for its noise.
    """
    n, m = sum(counts), sum(baseline)
    if not n or not m:
        return Drift(None, None, n, m)
    used = [pair for pair in zip(counts, baseline, strict=True) if any(pair)]
    total_now = n + PSEUDO_COUNT * len(used)
    total_before = m + PSEUDO_COUNT * len(used)
    index = 0.0
    for now, before in used:
        share = (now + PSEUDO_COUNT) / total_now
        old = (before + PSEUDO_COUNT) / total_before
        index += (share - old) * math.log(share / old)
    freedom = len(used) - 1
    z = NormalDist().inv_cdf(0.95)
    noise = (1 / n + 1 / m) * (freedom + z * math.sqrt(2 * freedom))
    return Drift(index, noise, n, m)
