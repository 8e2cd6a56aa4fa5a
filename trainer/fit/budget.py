"""A budget of minutes becomes a number of steps, and stays one that fits.

The first steps are slower than all others (memory is mapped, kernels are chosen) and
do not count. The next ones give the pace, and the pace the number of steps that end in
time, with what remains to be measured and written afterwards set aside. From then on
every step is held against the clock: a machine that became slower gets fewer steps, a
faster one more. The schedule stays a cosine that reaches its end; only how fast it is
run through changes, without a jump of the learning rate.

But for ``budget_of`` there is no clock in here: times come in as seconds.
"""

import math
import time
from collections import deque
from dataclasses import dataclass

from models.errors import ConfigError

SLOW_STEPS = 3  # at a start; not counted
PACE_STEPS = 10  # counted before the first plan
LONGEST_PACE = 50  # steps that the pace is the mean of
TOLERANCE = 0.02  # of the budget: planned ends this far off are planned anew
FEWEST_STEPS = 20  # below, the warm-up is not half over
CLOSING_S = 1.0  # weights and record
CLOSING_SHARE = 1.3  # thresholds, metrics and report on top of looking; measured 1.26


class Pace:
    """Seconds a step takes now.

    Args:
        slow: Steps that are not counted.
    """

    def __init__(self, slow: int = SLOW_STEPS) -> None:
        self._slow = slow
        self._recent: deque[float] = deque(maxlen=LONGEST_PACE)

    def add(self, seconds: float) -> None:
        """Count one step.

        Args:
            seconds: What it took.
        """
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
        total_s: The budget.
        deadline_s: When it is over, on the clock that ``now_s`` is read from.
        fewest_steps: Below, nothing is learned.
    """

    total_s: float
    deadline_s: float
    fewest_steps: int

    def steps(self, now_s: float, step: int, step_s: float, reserve_s: float) -> int:
        """Return the number of steps in all that end in time.

        Args:
            now_s: The clock.
            step: Steps done.
            step_s: Seconds a step.
            reserve_s: What is needed besides steps, until the end.
        """
        left_s = self.deadline_s - now_s - reserve_s
        return step + max(0, math.floor(left_s / max(step_s, 1e-6)))

    def is_off(self, planned: int, fitting: int, step_s: float) -> bool:
        """Return whether a plan misses the budget by more than is tolerated.

        Args:
            planned: Steps in all, as planned.
            fitting: Steps in all that fit now.
            step_s: Seconds a step.
        """
        missed_s = abs(planned - fitting) * step_s
        return missed_s > max(TOLERANCE * self.total_s, step_s)

    def refuse_too_small(
        self, now_s: float, step: int, step_s: float, reserve_s: float
    ) -> None:
        """Stop where the budget ends before anything can be learned.

        Args:
            now_s: The clock.
            step: Steps done.
            step_s: Seconds a step.
            reserve_s: What is needed besides steps, until the end.

        Raises:
            ConfigError: It says how many minutes would do.
        """
        if self.steps(now_s, step, step_s, reserve_s) >= self.fewest_steps:
            return
        missing = max(0, self.fewest_steps - step)
        spent_s = self.total_s - (self.deadline_s - now_s)
        needed_s = spent_s + missing * step_s + reserve_s
        would_do = math.ceil(needed_s / 60 * 1.1 * 10) / 10
        raise ConfigError(
            f"--minutes {self.total_s / 60:g}: too short to learn anything.",
            why=f"One pass over the photos is {self.fewest_steps} steps of "
            f"{step_s:.2g} s here; reading and measuring the photos takes "
            f"{spent_s - step * step_s + reserve_s:.0f} s.",
            fix=f"Give --minutes {would_do:g} or more, or a smaller --size.",
        )


def closing_s(photos: int, photo_s: float) -> float:
    """Return what measuring and writing take after the last step.

    Args:
        photos: To measure on.
        photo_s: Seconds to look at one.
    """
    return CLOSING_S + photos * photo_s * CLOSING_SHARE


def budget_of(
    minutes: float | None, begun_s: float | None, steps_per_epoch: int
) -> TimeBudget | None:
    """Return the budget of so many minutes; None where none was asked for.

    Args:
        minutes: Asked for.
        begun_s: Monotonic clock at which they begin; None = now.
        steps_per_epoch: A budget allows at least one pass over the photos.
    """
    if minutes is None:
        return None
    begun_s = time.monotonic() if begun_s is None else begun_s
    seconds = 60 * minutes
    return TimeBudget(seconds, begun_s + seconds, max(FEWEST_STEPS, steps_per_epoch))
