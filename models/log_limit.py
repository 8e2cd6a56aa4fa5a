"""Bounds what the same line of a program may log.

An error that comes with every frame would fill a disk in days, and hide the line that
matters. Of one event (the format of a log line, which is fixed) only so many lines pass
in a minute, and of one that says the very same thing only a few. What was swallowed is
told when the minute is over.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

WINDOW_S = 60.0
SAME_LINES = 5  # of one event with the same keys in a window
EVENT_LINES = 60  # of one event with any keys: 64 cameras may each say one
WINDOWS_MAX = 1000  # a format that is made at run time must not cost memory
TOLD = "log_repeated event=%r swallowed=%d seconds=%d"


@dataclass(slots=True)
class _Window:
    """What was said of one event lately."""

    level: int
    began_s: float
    lines: Counter[str] = field(default_factory=Counter)
    swallowed: int = 0


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes log lines to a stream, a bounded number of each kind.

    Args:
        stream: Where to.
        now_s: Monotonic clock, in seconds.
    """

    def __init__(
        self, stream: TextIO, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(stream)
        self._now_s = now_s
        self._windows: dict[tuple[str, str], _Window] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless the same was said too often.

        Args:
            record: What was logged.
        """
        now_s = self._now_s()
        self._end_windows(now_s - WINDOW_S)
        if record.levelno < logging.INFO or self._is_admitted(record, now_s):
            super().emit(record)

    def close(self) -> None:
        """Tell what was swallowed, and close."""
        self._end_windows(self._now_s())
        super().close()

    def _is_admitted(self, record: logging.LogRecord, now_s: float) -> bool:
        """Count a line, and return whether it may pass."""
        key = (record.name, str(record.msg))
        if key not in self._windows and len(self._windows) >= WINDOWS_MAX:
            key = (record.name, "")
        window = self._windows.setdefault(key, _Window(record.levelno, now_s))
        text = record.getMessage()
        is_known = window.lines[text] >= SAME_LINES
        if is_known or window.lines.total() >= EVENT_LINES:
            window.swallowed += 1
            return False
        window.lines[text] += 1
        return True

    def _end_windows(self, began_before_s: float) -> None:
        """Forget old windows, and tell what was swallowed in them."""
        ended = [
            key
            for key, window in self._windows.items()
            if window.began_s <= began_before_s
        ]
        for key in ended:
            window = self._windows.pop(key)
            if window.swallowed:
                event = key[1].partition(" ")[0]
                values = (event, window.swallowed, WINDOW_S)
                super().emit(
                    logging.LogRecord(
                        *(key[0], window.level, __file__, 0, TOLD, values, None)
                    )
                )
