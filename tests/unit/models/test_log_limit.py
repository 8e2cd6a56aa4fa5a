"""A line that is logged again and again is written a few times, and counted."""

import io
import logging

import pytest

from models import log_limit
from models.log_limit import EVENT_LINES, SAME_LINES, WINDOW_S, LimitedHandler

ERROR = logging.ERROR


class Log:
    """A handler with a clock of its own, and what it wrote."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.stream = io.StringIO()
        self.handler = LimitedHandler(self.stream, lambda: self.now_s)

    def write(self, text: str, *values: object, level: int = ERROR) -> None:
        self.handler.handle(
            logging.LogRecord("edge.x", level, "x.py", 1, text, values, None)
        )

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def test_same_line_is_suppressed_after_a_few_and_counted_after_the_minute() -> None:
    log = Log()
    for _ in range(1000):
        log.write("camera_torn camera=%s", "top")
    assert log.lines == ["camera_torn camera=top"] * SAME_LINES
    log.now_s = WINDOW_S
    log.write("other")
    suppressed = 1000 - SAME_LINES
    summary = f"log_repeated event='camera_torn' swallowed={suppressed} seconds=60"
    assert log.lines[SAME_LINES:] == [summary, "other"]
    log.write("camera_torn camera=%s", "top")
    assert log.lines[-1] == "camera_torn camera=top", "a new minute, new lines"


def test_lines_with_other_keys_are_written_up_to_a_limit() -> None:
    log = Log()
    for number in range(1000):
        log.write("decision_not_written frame=%d", number)
    assert len(log.lines) == EVENT_LINES
    log.handler.close()
    assert f"swallowed={1000 - EVENT_LINES}" in log.lines[-1]


def test_each_event_has_its_own_limit() -> None:
    log = Log()
    for number in range(20):
        for _ in range(20):
            log.write(f"event_{number}")
    assert len(log.lines) == 20 * SAME_LINES


def test_debug_is_not_limited() -> None:
    log = Log()
    for _ in range(100):
        log.write("frame_seen", level=logging.DEBUG)
    assert len(log.lines) == 100


def test_formats_made_at_run_time_do_not_cost_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_limit, "WINDOWS_MAX", 50)
    log = Log()
    for number in range(5000):
        log.write(f"made_up_{number}")
    assert len(log.lines) == 50 + EVENT_LINES
    assert len(log.handler._windows) == 51  # noqa: SLF001 - the memory that it costs
