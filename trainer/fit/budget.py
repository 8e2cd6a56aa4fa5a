"""A budget of minutes becomes a number of steps, and keeps to one that fits.

The first steps are slower than all others (memory is mapped, kernels are chosen) and
do not count. The next ones give the pace, and the pace the number of steps that end in
time, with what remains to be validated and written set aside. From then on every step
is compared with the clock: a machine that became slower gets fewer steps, a faster one
more. The schedule stays a cosine that reaches its end; only its speed changes, without
a jump of the learning rate.

Except for ``budget_of`` no clock is read here: times come in as seconds.
"""

import math
import time
from collections import deque
from dataclasses import dataclass

from models.errors import ConfigError

SLOW_STEPS = 3  # at a start; not counted
PACE_STEPS = 10  # counted before the first plan
PACE_KNOWN_AFTER = SLOW_STEPS + PACE_STEPS
MAX_PACE_STEPS = 50  # the pace is the mean of so many latest steps
TOLERANCE = 0.02  # of the budget: an end that is planned this far off is moved
MIN_STEPS = 20  # below, the warm-up of 50 steps is not half over
CLOSING_S = 1.0  # weights and record
CLOSING_SHARE = 1.3  # thresholds, metrics and report on top of detection; measured 1.26
MINUTES_MARGIN = 1.1  # the minutes that an error proposes should be enough


class Pace:
    """Seconds that a step takes now."""

    def __init__(self) -> None:
        self._slow = SLOW_STEPS
        self._recent: deque[float] = deque(maxlen=MAX_PACE_STEPS)

    def add(self, seconds: float) -> None:
        """Count one step."""
        if self._slow > 0:
            self._slow -= 1
        else:
            self._recent.append(seconds)

    @property
    def is_known(self) -> bool:
        """Whether enough steps were counted."""
        return len(self._recent) >= PACE_STEPS

    @property
    def step_s(self) -> float:
        """Mean of the counted steps; 0 before the first."""
        return sum(self._recent) / max(1, len(self._recent))


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """Seconds that a whole training may take.

    Attributes:
        deadline_s: Its end, on the clock that ``now_s`` is read from.
        min_steps: With fewer, nothing is learned.
    """

    total_s: float
    deadline_s: float
    min_steps: int

    def steps(self, now_s: float, step: int, step_s: float, reserve_s: float) -> int:
        """Return the total number of steps that end in time.

        Args:
            now_s: The clock.
            step: Steps done.
            step_s: Seconds a step.
            reserve_s: Needed besides steps, until the end.
        """
        left_s = self.deadline_s - now_s - reserve_s
        return step + max(0, math.floor(left_s / max(step_s, 1e-6)))

    def is_off(self, planned: int, fitting: int, step_s: float) -> bool:
        """Return whether a plan misses the budget by more than the tolerance.

        Args:
            planned: Steps in total, as planned.
            fitting: Steps in total that fit now.
            step_s: Seconds a step.
        """
        missed_s = abs(planned - fitting) * step_s
        # At least one step: a short budget with long steps would be moved each time.
        return missed_s > max(TOLERANCE * self.total_s, step_s)

    def refuse_too_small(
        self, now_s: float, step: int, step_s: float, reserve_s: float
    ) -> None:
        """Stop where the budget ends before anything can be learned.

        Args:
            now_s: The clock.
            step: Steps done.
            step_s: Seconds a step.
            reserve_s: Needed besides steps, until the end.

        Raises:
            ConfigError: Names the minutes that would be enough.
        """
        if self.steps(now_s, step, step_s, reserve_s) >= self.min_steps:
            return
        missing = max(0, self.min_steps - step)
        spent_s = self.total_s - (self.deadline_s - now_s)
        needed_s = spent_s + missing * step_s + reserve_s
        enough = math.ceil(needed_s / 60 * MINUTES_MARGIN * 10) / 10
        raise ConfigError(
            f"--minutes {self.total_s / 60:g}: too short to learn anything.",
            why=f"One pass over the photos is {self.min_steps} steps of "
            f"{step_s:.2g} s here; reading and measuring the photos takes "
            f"{spent_s - step * step_s + reserve_s:.0f} s.",
            fix=f"Give --minutes {enough:g} or more, or a smaller --size.",
        )


def closing_s(photos: int, photo_s: float) -> float:
    """Return the seconds that evaluation and writing take after the last step.

    Args:
        photos: To evaluate on.
        photo_s: Seconds to detect and score on one.
    """
    return CLOSING_S + photos * photo_s * CLOSING_SHARE


def budget_of(
    minutes: float | None, started_s: float | None, steps_per_epoch: int
) -> TimeBudget | None:
    """Return the budget of so many minutes; None where none was given.

    Args:
        started_s: Monotonic clock at which the minutes begin; None = now.
        steps_per_epoch: A budget allows at least one pass over the photos.
    """
    if minutes is None:
        return None
    started_s = time.monotonic() if started_s is None else started_s
    seconds = 60 * minutes
    return TimeBudget(seconds, started_s + seconds, max(MIN_STEPS, steps_per_epoch))
