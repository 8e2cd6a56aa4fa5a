"""The regular expression of ``--group``: names the group of a photo by its path.

A run keeps the expression in ``split.json``, and a run may come from a stranger: the
search has a limit of time. Python handles signals while it searches, so that a timer
can stop it.

Source: CWE-1333 (a search that takes exponential time).
"""

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

PATTERN_MAX_CHARACTERS = 1000
# Seconds of this process, for all photos: a million of them took 2 s.
SEARCH_MAX_S = 10.0


class SlowPatternError(ValueError):
    """A regular expression takes too long."""


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a regular expression that is ready to search with.

    Raises:
        ValueError: It is none, or longer or slower than any that is typed.
    """
    if len(pattern) > PATTERN_MAX_CHARACTERS:
        raise ValueError(f"longer than {PATTERN_MAX_CHARACTERS} characters")
    try:
        with _time_limit():
            return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        raise ValueError(f"not a regular expression: {exc}") from exc


def group_names(paths: Sequence[str], pattern: str) -> list[str | None]:
    """Return the name of each photo's group, None where the pattern does not match.

    Args:
        paths: Below the dataset's folder.
        pattern: Its first group, else all of its match, is the name.

    Raises:
        SlowPatternError: All of them together take too long.
    """
    search = compiled(pattern).search
    with _time_limit():
        matches = [search(path) for path in paths]
    return [match and (match[1] if match.re.groups else match[0]) for match in matches]


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raise ``SlowPatternError`` when the time is over; the timer counts own work only.

    In another thread than the main one there is no limit: signals do not reach it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise SlowPatternError(f"it takes more than {SEARCH_MAX_S:g} s")

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, SEARCH_MAX_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        # A signal that is still on its way would end the process by default.
        is_default = before in (signal.SIG_DFL, None)
        signal.signal(signal.SIGVTALRM, signal.SIG_IGN if is_default else before)
