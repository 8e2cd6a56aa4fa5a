"""Run rules: patterns of points inside the limits that noise does not make.

Source:
    Western Electric, Statistical Quality Control Handbook (1956), pp. 25-28, as in the
    NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2,
    https://www.itl.nist.gov/div898/handbook/pmc/section3/pmc32.htm
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """A run rule; the value is its name in the URL."""

    ONE_BEYOND_3 = "1"
    """One point beyond three sigmas."""
    TWO_OF_3_BEYOND_2 = "2"
    """Two of three points in a row beyond two sigmas, on the same side."""
    FOUR_OF_5_BEYOND_1 = "3"
    """Four of five points in a row beyond one sigma, on the same side."""
    EIGHT_ON_ONE_SIDE = "4"
    """Eight points in a row on the same side of the center."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """``needed`` of the last ``window`` points are beyond ``sigmas``."""

    needed: int
    window: int
    sigmas: float


PATTERNS = {
    Rule.ONE_BEYOND_3: _Pattern(1, 1, 3),
    Rule.TWO_OF_3_BEYOND_2: _Pattern(2, 3, 2),
    Rule.FOUR_OF_5_BEYOND_1: _Pattern(4, 5, 1),
    Rule.EIGHT_ON_ONE_SIDE: _Pattern(8, 8, 0),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A point that completes a pattern.

    Attributes:
        index: Position of the point among all points.
        is_high: The pattern is above the center: more defects than usual. Below it
            there are fewer, or a camera no longer sees them.
    """

    index: int
    rule: Rule
    is_high: bool


def violations(
    sigmas: Sequence[float | None], rules: Collection[Rule] = tuple(Rule)
) -> list[Violation]:
    """Return the points that complete a pattern, in the order of time.

    Args:
        sigmas: Distance of each point from the center in sigmas; None where there is
            no point: the points beside it follow each other.
        rules: The rules in use.
    """
    points = [(i, value) for i, value in enumerate(sigmas) if value is not None]
    values = [value for _, value in points]
    return [
        Violation(index, rule, is_high)
        for at, (index, _) in enumerate(points)
        for rule in sorted(set(rules))
        for is_high in (True, False)
        if _completes(values, at, PATTERNS[rule], is_high=is_high)
    ]


def _completes(
    values: list[float], at: int, pattern: _Pattern, *, is_high: bool
) -> bool:
    """Return whether a value is beyond, with enough of those before it."""
    window = values[max(0, at + 1 - pattern.window) : at + 1]
    beyond = [(v if is_high else -v) > pattern.sigmas for v in window]
    return beyond[-1] and sum(beyond) >= pattern.needed
