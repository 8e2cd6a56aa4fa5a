"""Rates of parts, each with the interval in which the true rate may lie.

All intervals assume that parts are independent of each other. Defects that come in
bursts make them too short; the control charts measure that, see
``dashboard.statistics.control_charts``.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
BETA_STEPS_MAX = 500
BETA_TOLERANCE = 1e-15
SMALLEST = 1e-300
BISECTIONS = 60  # halvings of 0..1: finer than a double can hold


@dataclass(frozen=True, slots=True)
class RateInterval:
    """An interval of rates or of differences of rates."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of parts out of all.

    Attributes:
        count: 0 to ``n``.
        n: Number of all parts; 0: there is no rate.
    """

    count: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.n:
            raise ValueError(f"{self.count} of {self.n} is no rate")

    @property
    def value(self) -> float | None:
        """The rate 0..1; None where no parts were counted."""
        return self.count / self.n if self.n else None


def wilson(rate: Rate, confidence: float = CONFIDENCE) -> RateInterval | None:
    """Return the score interval of a rate; None where no parts were counted.

    On average it covers the true rate as often as it promises.

    Source:
        Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
        JASA 22 (1927), 209-212; without correction for continuity.

    >>> interval = wilson(Rate(0, 20))
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.0, 0.1611)
    """
    if rate.n == 0:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, n = rate.count / rate.n, rate.n
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    center, scale = p + z * z / (2 * n), 1 + z * z / n
    # The ends are exact for 0 and n parts; rounding must not move them.
    low = 0.0 if rate.count == 0 else max(0.0, (center - spread) / scale)
    high = 1.0 if rate.count == n else min(1.0, (center + spread) / scale)
    return RateInterval(low, high)


def clopper_pearson(rate: Rate, confidence: float = CONFIDENCE) -> RateInterval | None:
    """Return the exact interval of a rate; None where no parts were counted.

    It covers the true rate at least as often as it promises, and is longer than
    ``wilson``: take it where a promise depends on it.

    Source:
        Clopper and Pearson, "The Use of Confidence or Fiducial Limits Illustrated in
        the Case of the Binomial", Biometrika 26 (1934), 404-413.

    >>> interval = clopper_pearson(Rate(0, 20))
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.0, 0.1684)
    """
    if rate.n == 0:
        return None
    k, n, tail = rate.count, rate.n, (1 - confidence) / 2
    low = 0.0 if k == 0 else beta_quantile(tail, k, n - k + 1)
    high = 1.0 if k == n else beta_quantile(1 - tail, k + 1, n - k)
    return RateInterval(low, high)


@dataclass(frozen=True, slots=True)
class Difference:
    """How two rates differ.

    Attributes:
        value: Second rate minus first.
        interval: In which the true difference may lie.
    """

    value: float
    interval: RateInterval

    @property
    def is_clear(self) -> bool:
        """Whether the interval does not hold 0."""
        return self.interval.low > 0 or self.interval.high < 0


def difference(
    first: Rate, second: Rate, confidence: float = CONFIDENCE
) -> Difference | None:
    """Return how much higher the second rate is; None where one of them has no parts.

    Source:
        Newcombe, "RateInterval estimation for the difference between independent
        proportions", Statistics in Medicine 17 (1998), 873-890, method 10.

    >>> found = difference(Rate(48, 80), Rate(56, 70))
    >>> round(found.value, 4), round(found.interval.low, 4)
    (0.2, 0.0524)
    """
    one, two = wilson(first, confidence), wilson(second, confidence)
    if one is None or two is None:
        return None
    p1, p2 = first.count / first.n, second.count / second.n
    below = math.hypot(p2 - two.low, one.high - p1)
    above = math.hypot(two.high - p2, p1 - one.low)
    value = p2 - p1
    return Difference(value, RateInterval(value - below, value + above))


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return the x below which a share of the beta distribution lies.

    Args:
        share: 0..1.
        a: Above 0, as ``b``.
    """
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if beta_share(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_share(x: float, a: float, b: float) -> float:
    """Return the share of the beta distribution below x, 0..1.

    Source:
        Regularized incomplete beta function, by the continued fraction of DLMF
        8.17.22 (https://dlmf.nist.gov/8.17.E22), evaluated by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1 - beta_share(1 - x, b, a)
    log_front = (
        math.lgamma(a + b)
        - math.lgamma(a)
        - math.lgamma(b)
        + a * math.log(x)
        + b * math.log1p(-x)
    )
    return math.exp(log_front) * _beta_fraction(x, a, b) / a


def _beta_fraction(x: float, a: float, b: float) -> float:
    numerator, denominator = 1.0, _not_zero(1 - (a + b) * x / (a + 1))
    denominator = 1 / denominator
    fraction = denominator
    for m in range(1, BETA_STEPS_MAX):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for factor in (even, odd):
            denominator = 1 / _not_zero(1 + factor * denominator)
            numerator = _not_zero(1 + factor / numerator)
            step = denominator * numerator
            fraction *= step
        if abs(step - 1) < BETA_TOLERANCE:
            break
    return fraction


def _not_zero(value: float) -> float:
    return value if abs(value) > SMALLEST else SMALLEST
