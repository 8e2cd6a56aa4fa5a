"""Converts a budget of minutes into a number of steps, and adapts it to the clock.

The first steps are slower than all others (memory is mapped, kernels are chosen) and
do not count. The pace is measured on the following ones. It determines the number of
steps that end in time, less the time for the remaining validations and for writing.
From then on every step is compared with the clock: if the machine becomes slower, fewer
steps are planned, if it becomes faster, more. The schedule stays a cosine that reaches
its end; only its speed changes, without a jump of the learning rate.

No budget is refused: ``time_plan`` chooses less work where it is short. Validations,
mining and the measurement at the end take at most ``MEASURED_SHARE`` of the minutes
together, whatever else the machine does; only the least measurement may take more.

Only ``budget_of`` reads a clock; the other functions take times as seconds.
"""

import math
import time
from collections import deque
from dataclasses import dataclass

SLOW_STEPS = 3  # after a start; not counted
PACE_STEPS = 10  # counted before the first plan
PACE_KNOWN_AFTER = SLOW_STEPS + PACE_STEPS
MAX_PACE_STEPS = 50  # the pace is the mean of at most this many latest steps
# The load of the machine has changed where so many steps in a row are so many times
# slower, or faster, than the mean: the steps before them no longer count.
CHANGE_STEPS, CHANGE_FACTOR = 3, 1.5
TOLERANCE = 0.02  # of the budget: an end that is planned this far off is moved
LATE_SHARE = 0.05  # of the budget: nothing is left out for an end this much later
MEASURED_SHARE = 0.1  # of the budget, for all work that trains nothing
FINAL_SHARE = 0.06  # of the budget, of it for the measurement at the end
MINING_SHARE = 0.02  # of the budget, of it for all rounds of mining
LEAST_PHOTOS = 24  # of the measurement at the end: mAP on fewer is too noisy
CLOSING_S = 1.0  # to write weights and record
CLOSING_SHARE = 1.3  # thresholds, metrics and report on top of detection; measured 1.26


class Pace:
    """Measures how many seconds a step takes.

    Attributes:
        latest_s: Seconds of the latest step, also of one that is not counted.
    """

    def __init__(self) -> None:
        self.latest_s = 0.0
        self._slow, self._counted = SLOW_STEPS, 0
        self._recent: deque[float] = deque(maxlen=MAX_PACE_STEPS)

    def add(self, seconds: float) -> None:
        """Count one step."""
        self.latest_s = seconds
        if self._slow > 0:
            self._slow -= 1
            return
        self._recent.append(seconds)
        self._counted += 1
        if self._has_changed():
            for _ in range(len(self._recent) - CHANGE_STEPS):
                self._recent.popleft()

    def _has_changed(self) -> bool:
        steps = list(self._recent)
        before, latest = steps[:-CHANGE_STEPS], steps[-CHANGE_STEPS:]
        if len(before) < CHANGE_STEPS:
            return False
        mean_s = sum(before) / len(before)
        is_slower = min(latest) > CHANGE_FACTOR * mean_s
        return is_slower or max(latest) * CHANGE_FACTOR < mean_s

    @property
    def is_known(self) -> bool:
        """Whether enough steps were counted."""
        return self._counted >= PACE_STEPS

    @property
    def step_s(self) -> float:
        """Mean of the counted steps; 0 before the first."""
        return sum(self._recent) / max(1, len(self._recent))


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """Seconds that a whole training may take.

    Attributes:
        deadline_s: Its end, on the clock of ``now_s``.
    """

    total_s: float
    deadline_s: float

    def steps(self, now_s: float, step: int, step_s: float, reserve_s: float) -> int:
        """Return the total number of steps that end in time.

        Args:
            now_s: The clock.
            step: Steps done.
            step_s: Seconds per step.
            reserve_s: Needed besides steps, until the end.
        """
        left_s = self.deadline_s - now_s - reserve_s
        return step + max(0, math.floor(left_s / max(step_s, 1e-6)))

    def is_off(self, planned: int, fitting: int, step_s: float) -> bool:
        """Return whether a plan misses the budget by more than the tolerance.

        Args:
            planned: Steps in total, as planned.
            fitting: Steps in total that fit now.
            step_s: Seconds per step.
        """
        missed_s = abs(planned - fitting) * step_s
        # At least one step: with a short budget and long steps the end would otherwise
        # be moved after each step.
        return missed_s > max(TOLERANCE * self.total_s, step_s)

    @property
    def measured_s(self) -> float:
        """Seconds that all validations, mining and the last measurement may take."""
        return MEASURED_SHARE * self.total_s

    def is_late(self, now_s: float, reserve_s: float = 0.0) -> bool:
        """Return whether the end is missed by more than is tolerated.

        Args:
            now_s: The clock.
            reserve_s: Needed until the end.
        """
        return now_s + reserve_s > self.deadline_s + LATE_SHARE * self.total_s


def closing_s(photos: int, photo_s: float) -> float:
    """Return the seconds that evaluation and writing take after the last step.

    Args:
        photos: Number of photos to evaluate on.
        photo_s: Seconds to detect and score on one photo.
    """
    return CLOSING_S + photos * photo_s * CLOSING_SHARE


def budget_of(minutes: float | None, started_s: float | None) -> TimeBudget | None:
    """Return the budget for a number of minutes; None if no minutes were given.

    Args:
        started_s: Monotonic clock at the start of the minutes; None = now.
    """
    if minutes is None:
        return None
    started_s = time.monotonic() if started_s is None else started_s
    seconds = 60 * minutes
    return TimeBudget(seconds, started_s + seconds)
