"""Limits how often a service may log the same line.

An error that occurs with every frame would fill a disk in days, and hide the important
lines. The number of lines per event (the format of a log line, which is fixed) and
minute is limited, and the number of identical lines more strictly. The number of
suppressed lines is logged at the end of the minute.

It is in ``models`` although it is no contract: its only client is ``graftline.py``,
which belongs to no package, for the services of ``edge`` and ``dashboard``.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

WINDOW_S = 60.0
SAME_LINES = 5  # identical lines in a window
EVENT_LINES = 60  # lines of one event in a window, about one for each of 64 cameras
WINDOWS_MAX = 1000  # bounds the memory if a format is built at run time
SUPPRESSED = "log_repeated event=%r swallowed=%d seconds=%d"


@dataclass(slots=True)
class _Window:
    """The lines of one event in the present minute."""

    level: int
    started_s: float
    lines: Counter[str] = field(default_factory=Counter)
    suppressed: int = 0


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes log lines to a stream, a limited number of each event.

    Args:
        now_s: Monotonic clock, in seconds.
    """

    def __init__(
        self, stream: TextIO, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(stream)
        self._now_s = now_s
        self._windows: dict[tuple[str, str], _Window] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless its event was logged too often."""
        now_s = self._now_s()
        self._end_windows(now_s - WINDOW_S)
        if record.levelno < logging.INFO or self._is_admitted(record, now_s):
            super().emit(record)

    def close(self) -> None:
        """Log what was suppressed, and close."""
        self._end_windows(self._now_s())
        super().close()

    def _is_admitted(self, record: logging.LogRecord, now_s: float) -> bool:
        """Count a line, and return whether it is written."""
        key = (record.name, str(record.msg))
        if key not in self._windows and len(self._windows) >= WINDOWS_MAX:
            key = (record.name, "")
        window = self._windows.setdefault(key, _Window(record.levelno, now_s))
        text = record.getMessage()
        is_repeated = window.lines[text] >= SAME_LINES
        if is_repeated or window.lines.total() >= EVENT_LINES:
            window.suppressed += 1
            return False
        window.lines[text] += 1
        return True

    def _end_windows(self, started_before_s: float) -> None:
        """Remove old windows, and log what was suppressed in them."""
        ended = [
            key
            for key, window in self._windows.items()
            if window.started_s <= started_before_s
        ]
        for key in ended:
            window = self._windows.pop(key)
            if window.suppressed:
                event = key[1].partition(" ")[0]
                values = (event, window.suppressed, WINDOW_S)
                super().emit(
                    logging.LogRecord(
                        *(key[0], window.level, __file__, 0, SUPPRESSED, values, None)
                    )
                )
