"""Minutes become steps, on machines that are steady, slow down or speed up."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from trainer.fit.budget import (
    CHANGE_STEPS,
    PACE_STEPS,
    SLOW_STEPS,
    Pace,
    TimeBudget,
    closing_s,
)
from trainer.fit.engine import FINAL_LR_SHARE, Schedule

RESERVE_S = 20.0


def train_on(
    step_s: Callable[[int, float], float], total_s: float = 600.0
) -> tuple[Schedule, float]:
    """Train on a simulated clock; return the schedule and when everything ended."""
    budget = TimeBudget(total_s, total_s)
    schedule, pace, now, step = Schedule(1.0, 5000, 10), Pace(), 5.0, 0
    while step < schedule.steps:
        took = step_s(step, now)
        now, step = now + took, step + 1
        pace.add(took)
        if not pace.is_known:
            continue
        fitting = budget.steps(now, step, pace.step_s, RESERVE_S)
        if budget.is_off(schedule.steps, fitting, pace.step_s):
            schedule = schedule.ending_at(fitting, now=step)
    return schedule, now + RESERVE_S


def noisy(step: int, base: float) -> float:
    """Return a duration that varies by a fifth, the first ones much longer."""
    return base * (4 if step < SLOW_STEPS else 1 + 0.2 * ((step * 7919) % 11 - 5) / 5)


@pytest.mark.parametrize(
    "step_s",
    [
        lambda step, _: noisy(step, 0.6),
        lambda step, now: noisy(step, 0.6 if now < 300 else 1.5),
        lambda step, now: noisy(step, 0.6 if now < 540 else 1.5),
        lambda step, now: noisy(step, 1.5 if now < 60 else 0.6),
        lambda step, now: noisy(step, 0.05 if 200 < now < 400 else 0.1),
    ],
    ids=["steady", "slower", "slower at the end", "faster", "faster for a while"],
)
def test_training_ends_with_its_budget(step_s: Callable[[int, float], float]) -> None:
    schedule, ended = train_on(step_s)
    assert 0.96 * 600 < ended < 1.03 * 600
    assert schedule.phase(schedule.steps) == pytest.approx(1)
    assert schedule.at(schedule.steps - 1) < FINAL_LR_SHARE + 0.01


def test_end_is_rarely_moved_on_a_steady_machine() -> None:
    schedule, _ = train_on(lambda step, _: noisy(step, 0.6))
    assert len(schedule.past) < 10


def test_first_steps_do_not_count_for_the_pace() -> None:
    pace = Pace()
    for _ in range(SLOW_STEPS):
        pace.add(60)
    assert pace.step_s == 0
    for _ in range(PACE_STEPS):
        assert not pace.is_known
        pace.add(0.5)
    assert pace.is_known
    assert pace.step_s == pytest.approx(0.5)


def test_pace_follows_a_load_that_lasts_and_not_one_slow_step() -> None:
    pace = Pace()
    for _ in range(SLOW_STEPS + 30):
        pace.add(1.0)
    pace.add(8.0)
    pace.add(8.0)
    assert pace.step_s < 1.5
    pace.add(8.0)
    assert pace.step_s == pytest.approx(8.0)
    assert pace.is_known  # although only three steps count
    for _ in range(CHANGE_STEPS + 4):
        pace.add(1.0)
    assert pace.step_s == pytest.approx(1.0)


def test_moved_end_changes_no_past_learning_rate_and_makes_no_jump() -> None:
    before = Schedule(1.0, 100, 10)
    after = before.ending_at(60, now=40)
    assert [after.at(i) for i in range(41)] == [before.at(i) for i in range(41)]
    rates = [after.at(i) for i in range(60)]
    assert max(abs(a - b) for a, b in pairwise(rates[10:])) < 0.05
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert after.phase(60) == 1
    again = after.ending_at(90, now=50)
    assert [again.at(i) for i in range(51)] == [after.at(i) for i in range(51)]
    assert again.phase(90) == 1


def test_budget_that_is_over_plans_no_further_step() -> None:
    over = TimeBudget(30.0, 1030.0)
    assert over.steps(1025.0, 13, 0.5, reserve_s=20.0) == 13


def test_small_delay_is_tolerated() -> None:
    budget = TimeBudget(100.0, 1100.0)
    assert not budget.is_late(1090.0, reserve_s=14.0)
    assert budget.is_late(1090.0, reserve_s=16.0)


def test_evaluation_is_part_of_the_budget() -> None:
    assert closing_s(200, 0.1) > 20
    assert closing_s(0, 0.1) < 3
