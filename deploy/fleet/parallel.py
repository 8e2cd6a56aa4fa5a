"""Work on several PCs at the same time, no more of it than is allowed."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

LIMIT_S = 1.0  # of one wait: Ctrl-C is noticed after it

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    items: Iterable[Item], work: Callable[[Item], Result], parallel: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with the result of its work, in the order in which they end.

    Args:
        items: Taken one by one, each only when a thread is free for it.
        work: Called in a thread of its own.
        parallel: Number of threads.
    """
    source = iter(items)
    running: dict[Future[Result], Item] = {}
    with ThreadPoolExecutor(parallel, thread_name_prefix="fleet") as pool:
        while True:
            for item in islice(source, parallel - len(running)):
                running[pool.submit(work, item)] = item
            if not running:
                return
            done, _ = wait(running, LIMIT_S, FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result(0)
