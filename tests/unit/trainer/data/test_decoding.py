"""What is decoded at the same time fits into the memory of one large picture."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Lock

from models.value_types import PIXELS_MAX
from tests.simulators.exports import write_picture
from trainer.data.decoding import Budget, DecodingBudget

THREADS = 8


class Meter:
    """Records how much is held at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = Lock()

    def add(self, amount: int) -> None:
        with self._lock:
            self.now += amount
            self.most = max(self.most, self.now)


def most_held(total: int, amounts: list[int]) -> int:
    budget, meter, start = Budget(total), Meter(), Barrier(THREADS)

    def use(index: int) -> None:
        start.wait(10)
        for amount in amounts[index::THREADS]:
            with budget.held(amount):
                meter.add(amount)
                os.sched_yield()
                meter.add(-amount)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(use, range(THREADS)))
    assert meter.now == 0
    return meter.most


def test_threads_never_hold_more_than_the_budget() -> None:
    amounts = [1 + index % 7 for index in range(4000)]
    assert 7 <= most_held(10, amounts) <= 10


def test_amount_above_the_budget_is_held_alone() -> None:
    assert most_held(10, [25] * 400) == 25


def test_amount_is_free_again_after_an_error() -> None:
    budget = Budget(10)
    with suppress(ValueError), budget.held(10):
        int("not a number")
    with budget.held(10):
        pass


def test_content_of_a_picture_is_that_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_picture(path)
    with DecodingBudget().content_of(path) as content:
        assert content == path.read_bytes()


def test_picture_that_states_too_many_pixels_does_not_wait_for_ever(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.png"
    write_picture(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (65_000).to_bytes(4, "big") * 2
    path.write_bytes(content)
    assert PIXELS_MAX < 65_000**2
    with DecodingBudget().content_of(path) as read:
        assert read == bytes(content)
