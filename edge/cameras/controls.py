"""What a camera is set to: written at each open, read back, and told where it differs.

A camera forgets its settings when it loses power, and takes some of them only in a
certain order: a resolution resets the frame rate, an automatic exposure overrides an
exposure time. So all are written in one order, and only then all are read back: what a
later one changed in an earlier one is seen too. A camera that does not take a value
still delivers frames; its daemon says what was wanted and what is so.

Source:
    opencv#9738, opencv#14494 (a set that reports success and does nothing).
"""

from dataclasses import dataclass, fields
from typing import Protocol

Value = float | str
TOLERANCE = 0.02  # share; cameras round an exposure time to whole lines
TOLERANCE_LEAST = 0.5  # of values that are whole numbers


@dataclass(frozen=True, slots=True)
class Controls:
    """Wanted settings, in the order in which they are written; none = left as it is.

    Attributes:
        pixel_format: GenICam's name (``Mono8``), or a FourCC (``MJPG``) over USB.
        width_px: Width of the picture.
        height_px: Height of the picture.
        fps: Frames per second that the camera shall take.
        auto_exposure: Whether the camera chooses its exposure time.
        exposure_time_us: Exposure time.
        auto_gain: Whether the camera chooses its gain.
        gain: In the camera's own unit, GenICam: dB or raw.
        auto_white_balance: Whether the camera chooses its white balance.
        white_balance_k: Colour temperature.
        brightness: In the camera's own unit.
        trigger_source: What triggers, e.g. ``Line0`` or ``Software``.
        trigger_activation: Which edge triggers, e.g. ``RisingEdge``.
        trigger_mode: Whether every frame waits for a trigger.
    """

    pixel_format: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    auto_exposure: bool | None = None
    exposure_time_us: float | None = None
    auto_gain: bool | None = None
    gain: float | None = None
    auto_white_balance: bool | None = None
    white_balance_k: float | None = None
    brightness: float | None = None
    trigger_source: str | None = None
    trigger_activation: str | None = None
    trigger_mode: bool | None = None

    def wanted(self) -> dict[str, Value]:
        """Return what is to be set, by name, in the order of writing."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


class ControlPort(Protocol):
    """A camera whose settings can be written and read."""

    def write(self, name: str, value: Value) -> None:
        """Write one setting; a camera that does not take it is found by reading.

        Args:
            name: A field of ``Controls``.
            value: The wanted value.
        """

    def read(self, name: str) -> Value | None:
        """Return what a setting is now; nothing where the camera has none.

        Args:
            name: A field of ``Controls``.
        """


def apply_controls(controls: Controls, port: ControlPort) -> tuple[str, ...]:
    """Write all wanted settings, then read them back.

    Args:
        controls: What is wanted.
        port: The camera.

    Returns:
        A sentence for each value that the camera did not take.
    """
    wanted = controls.wanted()
    for name, value in wanted.items():
        port.write(name, value)
    return tuple(
        f"{name}: wanted {shown(value)}, got {shown(got)}"
        for name, value in wanted.items()
        if not is_taken(value, got := port.read(name))
    )


def is_taken(wanted: Value, got: Value | None) -> bool:
    """Return whether a value that was read is the one that was written.

    Args:
        wanted: What was written.
        got: What was read.

    >>> is_taken(8000, 7990.4), is_taken(8000, 10000), is_taken("Line0", None)
    (True, False, False)
    """
    if got is None or isinstance(wanted, str) or isinstance(got, str):
        return wanted == got
    if isinstance(wanted, bool):
        return wanted == bool(got)
    slack = TOLERANCE_LEAST if isinstance(wanted, int) else 0.0
    return abs(got - wanted) <= max(TOLERANCE * abs(wanted), slack)


def shown(value: Value | None) -> str:
    """Return a value as a person writes it.

    Args:
        value: Of a setting; none = the camera has no such setting.

    >>> shown(True), shown(8000.0), shown(None)
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
