"""Work on several PCs at the same time."""

import threading
from collections.abc import Iterator

import pytest

from deploy.fleet.parallel import in_parallel


@pytest.mark.parametrize("parallel", [1, 3, 50])
def test_every_item_is_worked_on_once(parallel: int) -> None:
    done = dict(in_parallel(range(20), lambda number: number * 2, parallel))
    assert done == {number: number * 2 for number in range(20)}


def test_no_more_items_are_taken_than_there_are_free_threads() -> None:
    lock, busy, busiest = threading.Lock(), 0, 0
    gate = threading.Barrier(3)

    def work(_: int) -> None:
        nonlocal busy, busiest
        with lock:
            busy += 1
            busiest = max(busiest, busy)
        gate.wait(10)
        with lock:
            busy -= 1

    assert len(list(in_parallel(range(9), work, 3))) == 9
    assert busiest == 3


def test_source_that_ends_early_ends_the_work() -> None:
    ended: list[int] = []

    def source() -> Iterator[int]:
        for number in range(10):
            if ended:
                return
            yield number

    for number, _ in in_parallel(source(), lambda number: number, 1):
        ended.append(number)
    assert ended == [0]


def test_error_of_the_work_reaches_the_caller() -> None:
    def fail(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_parallel([1], fail, 1))
