"""Wait for another thread or process without a fixed sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.01


def until(
    condition: Callable[[], T],
    what: str | Callable[[], object] = "the condition is true",
    limit_s: float = 30,
) -> T:
    """Call ``condition`` until it returns something true, and return that.

    Args:
        what: What is waited for, for the failure. A callable is called only then, so
            that the failure can show a state.

    Raises:
        AssertionError: It was not true within the limit.
    """
    deadline = time.monotonic() + limit_s
    while not (result := condition()):
        if time.monotonic() > deadline:
            text = what() if callable(what) else what
            message = f"not within {limit_s:g} s: {text}"
            raise AssertionError(message)
        time.sleep(POLL_S)
    return result
