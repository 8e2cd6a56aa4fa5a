"""When an alarm is raised, and when it is cleared. Pure.

Each alarm has two limits, so that a value that moves around one limit does not raise it
again and again. Parts that were not inspected count nowhere. Without enough parts
nothing changes: a line that stands still clears no alarm.

Source:
    ANSI/ISA-18.2, deadband of alarms.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Protocol

from models.messages import VerdictKind

MIN_SHARE = 4  # a share is judged from a quarter of the window's parts on ...
MIN_PARTS = 10  # ... and from these: 1 of 3 parts is no share


class AlarmKind(StrEnum):
    """What is wrong with a camera's parts."""

    SHARE = "share"
    """More than a share of the last parts is defective."""
    STREAK = "streak"
    """So many parts in a row are defective."""


class AlarmLimits(Protocol):
    """The limits of a camera, see ``dashboard.plant_settings.CameraLimit``."""

    @property
    def defect_percent(self) -> float | None:
        """Raises the alarm of the share; None = off."""

    @property
    def hysteresis(self) -> float:
        """Percentage points below, at which it is cleared."""

    @property
    def parts(self) -> int:
        """Number of last parts that the share is of."""

    @property
    def streak(self) -> int | None:
        """Raises the alarm of the streak; None = off."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an alarm is judged by.

    Attributes:
        value: Percent of defective parts, or defective parts in a row.
        limit: The alarm is raised above it (share), or from it on (streak).
        parts: Number of parts that were judged.
    """

    value: float
    limit: float
    parts: int


@dataclass(frozen=True, slots=True)
class AlarmDecision:
    """The result of a rule.

    Attributes:
        reading: None: there is no such limit, and the alarm is not active.
    """

    is_active: bool
    reading: Reading | None


def decide(
    kind: AlarmKind,
    limit: AlarmLimits,
    newest_first: Sequence[str],
    *,
    was_active: bool,
) -> AlarmDecision:
    """Return whether an alarm is active now.

    Args:
        newest_first: Verdicts of the last parts: enough for both limits.
        was_active: It was active before these parts.
    """
    judged = [each for each in newest_first if each != VerdictKind.NOT_INSPECTED]
    if kind is AlarmKind.SHARE:
        return _decide_share(limit, judged[: limit.parts], was_active=was_active)
    return _decide_streak(limit, judged, was_active=was_active)


def _decide_share(
    limit: AlarmLimits, judged: Sequence[str], *, was_active: bool
) -> AlarmDecision:
    on = limit.defect_percent
    if on is None:
        return AlarmDecision(is_active=False, reading=None)
    parts = len(judged)
    defective = sum(each == VerdictKind.DEFECT for each in judged)
    percent = 100 * defective / parts if parts else 0.0
    reading = Reading(percent, on, parts)
    if parts < max(MIN_PARTS, limit.parts // MIN_SHARE):
        return AlarmDecision(was_active, reading)
    off = on - limit.hysteresis
    return AlarmDecision(percent > (off if was_active else on), reading)


def _decide_streak(
    limit: AlarmLimits, judged: Sequence[str], *, was_active: bool
) -> AlarmDecision:
    on = limit.streak
    if on is None:
        return AlarmDecision(is_active=False, reading=None)
    defective = _run(judged, VerdictKind.DEFECT)
    reading = Reading(defective, on, len(judged))
    if was_active:
        # One good part among defective ones does not end it: it needs a good streak.
        return AlarmDecision(_run(judged, VerdictKind.OK) < on, reading)
    return AlarmDecision(defective >= on, reading)


def _run(judged: Iterable[str], verdict: VerdictKind) -> int:
    """Return how many of the newest parts have a verdict, one after the other."""
    return sum(1 for _ in takewhile(lambda each: each == verdict, judged))
