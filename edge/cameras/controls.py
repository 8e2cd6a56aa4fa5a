"""Writes a camera's settings at each open, reads them back and reports differences.

A camera loses its settings with its power, and accepts some of them only in a certain
order: a resolution resets the frame rate, an automatic exposure overrides an exposure
time. So all are written in one order before any is read back: that also detects a
setting that a later one changed. A camera that does not accept a value still delivers
frames; the daemon reports the requested value and the actual one.

Source:
    opencv#9738, opencv#14494 (a set that reports success and does nothing).
"""

from typing import Protocol

from edge.cameras.settings import ControlSettings, Value

TOLERANCE = 0.02  # share; cameras round an exposure time to whole lines
TOLERANCE_WHOLE = 0.5  # absolute, for a small whole number


class ControlPort(Protocol):
    """A camera whose settings can be written and read.

    Names are those of the fields of ``ControlSettings``.
    """

    def write(self, name: str, value: Value) -> None:
        """Write one setting; a refusal is not raised but detected by reading."""

    def read(self, name: str) -> Value | None:
        """Return the actual value; None where the camera has no such setting."""


def apply_controls(settings: ControlSettings, port: ControlPort) -> tuple[str, ...]:
    """Write all given settings; return a sentence for each that was not accepted."""
    given = settings.given()
    for name, value in given.items():
        port.write(name, value)
    return tuple(
        f"{name}: wanted {format_value(value)}, got {format_value(actual)}"
        for name, value in given.items()
        if not is_accepted(value, actual := port.read(name))
    )


def is_accepted(written: Value, actual: Value | None) -> bool:
    """Return whether a value that was read back is the one that was written.

    >>> is_accepted(8000, 7990.4), is_accepted(8000, 10000), is_accepted("Line0", None)
    (True, False, False)
    """
    if actual is None or isinstance(written, str) or isinstance(actual, str):
        return written == actual
    if isinstance(written, bool):
        return written == bool(actual)
    slack = TOLERANCE_WHOLE if isinstance(written, int) else 0.0
    return abs(actual - written) <= max(TOLERANCE * abs(written), slack)


def format_value(value: Value | None) -> str:
    """Return a value for a message.

    >>> format_value(True), format_value(8000.0), format_value(None)
    ('on', '8000', 'nothing (the camera has no such setting)')
    """
    match value:
        case None:
            return "nothing (the camera has no such setting)"
        case bool():
            return "on" if value else "off"
        case str():
            return value
        case _:
            return f"{value:g}"
