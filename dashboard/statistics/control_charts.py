"""Control charts of a defect rate: Laney's p' chart and EWMA.

The plain p chart takes the spread between groups of parts from the binomial
distribution alone. With hundreds of parts in a group it then raises an alarm for every
usual change of light or material. Laney's chart measures the spread between successive
groups, and widens or narrows the limits by it. It finds sudden changes; the EWMA chart
adds up small ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dashboard.statistics.rates import Rate

LIMIT_SIGMAS = 3
D2 = 1.128  # mean range of two values of a normal distribution, in sigmas
LAMBDA = 0.2  # NIST: usually 0.2 to 0.3
EWMA_SIGMAS = 3
GROUPS_MIN = 20
"""With fewer groups the limits themselves are rough."""


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """One group of parts on a chart.

    Attributes:
        value: Its rate, or its smoothed rate, 0..1.
        low: Lower limit 0..1; None as long as no spread is known.
        high: Upper limit.
        sigmas: Distance from the center in units of its sigma; None without one.
    """

    value: float
    low: float | None
    high: float | None
    sigmas: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """A control chart.

    Attributes:
        center: Rate of all groups together; None where no parts were counted.
        sigma_z: How much wider the spread is than the binomial one; None with fewer
            than two groups, or where no part or every part is defective.
        points: One for each group; None where the group has no parts.
        groups: Number of groups that have parts.
    """

    center: float | None
    sigma_z: float | None
    points: tuple[ChartPoint | None, ...]
    groups: int


def laney_chart(groups: Sequence[Rate]) -> Chart:
    """Return Laney's p' chart of groups of parts.

    With p the rate of all parts, s_i = sqrt(p (1 - p) / n_i) and z_i = (p_i - p) / s_i:
    sigma_z is the mean of abs(z_i - z_(i-1)), divided by 1.128, and the limits are
    p - 3 s_i sigma_z and p + 3 s_i sigma_z, within 0..1. With sigma_z = 1 this is the
    binomial p chart.

    Args:
        groups: In the order of time. Groups without parts are left out.

    Source:
        Laney, "Improved Control Charts for Attributes", Quality Engineering 14 (2002),
        531-537.
    """
    counted = [group for group in groups if group.n]
    parts = sum(group.n for group in counted)
    if not parts:
        return Chart(None, None, (None,) * len(groups), 0)
    center = sum(group.count for group in counted) / parts
    scores = [
        (group.count / group.n - center) / sigma
        for group in counted
        if (sigma := binomial_sigma(center, group.n)) > 0
    ]
    ranges = [abs(after - before) for before, after in pairwise(scores)]
    sigma_z = sum(ranges) / len(ranges) / D2 if ranges else None
    points = tuple(_laney_point(group, center, sigma_z) for group in groups)
    return Chart(center, sigma_z, points, len(counted))


def ewma_chart(
    groups: Sequence[Rate], weight: float = LAMBDA, sigmas: float = EWMA_SIGMAS
) -> Chart:
    """Return the chart of exponentially weighted moving averages (EWMA) of the rate.

    e_i = lambda p_i + (1 - lambda) e_(i-1), and e_0 = p, the rate of all parts. The
    groups differ in size, so the variance is added up along with it:
    v_i = lambda^2 s_i^2 + (1 - lambda)^2 v_(i-1) with v_0 = 0 and the sigma s_i of
    Laney's chart; the limits are p - L sqrt(v_i) and p + L sqrt(v_i). With equal groups
    v_i is the handbook's s^2 lambda / (2 - lambda) (1 - (1 - lambda)^(2 i)).

    Args:
        groups: In the order of time. Groups without parts are left out.
        weight: Lambda, above 0 and at most 1: how much the newest group counts.
        sigmas: L, distance of the limits in sigmas.

    Source:
        NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.4,
        https://www.itl.nist.gov/div898/handbook/pmc/section3/pmc324.htm
    """
    laney = laney_chart(groups)
    if laney.center is None:
        return laney
    value, variance = laney.center, 0.0
    points: list[ChartPoint | None] = []
    for group in groups:
        if not group.n:
            points.append(None)
            continue
        sigma = binomial_sigma(laney.center, group.n) * (laney.sigma_z or 0)
        value = weight * group.count / group.n + (1 - weight) * value
        variance = weight**2 * sigma**2 + (1 - weight) ** 2 * variance
        points.append(_point(value, laney.center, math.sqrt(variance), sigmas))
    return Chart(laney.center, laney.sigma_z, tuple(points), laney.groups)


def binomial_sigma(center: float, n: int) -> float:
    """Return the standard deviation of the rate of n independent parts."""
    return math.sqrt(center * (1 - center) / n)


def _laney_point(
    group: Rate, center: float, sigma_z: float | None
) -> ChartPoint | None:
    if not group.n:
        return None
    sigma = binomial_sigma(center, group.n) * (sigma_z or 0)
    return _point(group.count / group.n, center, sigma, LIMIT_SIGMAS)


def _point(value: float, center: float, sigma: float, sigmas: float) -> ChartPoint:
    if sigma <= 0:
        return ChartPoint(value, None, None, None)
    reach = sigmas * sigma
    low, high = max(0.0, center - reach), min(1.0, center + reach)
    return ChartPoint(value, low, high, (value - center) / sigma)
