"""Settings of a USB camera as Video4Linux controls, through OpenCV.

Automatic exposure is a menu: 3 is aperture priority (on), 1 is manual. A manual
exposure counts in units of 100 µs and is accepted only while automatic exposure is off.
"On" is written first, because some cameras ignore a value that they already have.

Source:
    ``V4L2_CID_EXPOSURE_AUTO``, ``V4L2_CID_EXPOSURE_ABSOLUTE`` of the Linux media API;
    opencv#9738 (set 3, then 1, then the exposure).
"""

from typing import Protocol

import cv2

from edge.cameras.settings import Value

AUTO, MANUAL = 3.0, 1.0
EXPOSURE_UNIT_US = 100.0
FOURCC_CHARS = 4

PROPERTIES = {
    "pixel_format": cv2.CAP_PROP_FOURCC,
    "width_px": cv2.CAP_PROP_FRAME_WIDTH,
    "height_px": cv2.CAP_PROP_FRAME_HEIGHT,
    "fps": cv2.CAP_PROP_FPS,
    "auto_exposure": cv2.CAP_PROP_AUTO_EXPOSURE,
    "exposure_time_us": cv2.CAP_PROP_EXPOSURE,
    "gain": cv2.CAP_PROP_GAIN,
    "auto_white_balance": cv2.CAP_PROP_AUTO_WB,
    "white_balance_k": cv2.CAP_PROP_WB_TEMPERATURE,
    "brightness": cv2.CAP_PROP_BRIGHTNESS,
}
MISSING = -1.0  # OpenCV's value of a property that the device does not have


class Properties(Protocol):
    """The methods of an open ``cv2.VideoCapture`` that are used here."""

    def set(self, propId: int, value: float) -> bool:  # noqa: N803 (OpenCV's name)
        """Write a property; True is no proof that it was accepted."""

    def get(self, propId: int) -> float:  # noqa: N803 (OpenCV's name)
        """Return a property."""


class V4l2Controls:
    """The settings of an open USB camera."""

    def __init__(self, capture: Properties) -> None:
        self._capture = capture

    def write(self, name: str, value: Value) -> None:
        """Write one setting; see ``ControlPort``."""
        prop = PROPERTIES.get(name)
        if prop is None:
            return
        if name == "auto_exposure" and not value:
            self._capture.set(prop, AUTO)
        self._capture.set(prop, _to_v4l2(name, value))

    def read(self, name: str) -> Value | None:
        """Return one setting; see ``ControlPort``."""
        prop = PROPERTIES.get(name)
        raw = MISSING if prop is None else self._capture.get(prop)
        return None if raw == MISSING else _from_v4l2(name, raw)


def _to_v4l2(name: str, value: Value) -> float:
    if isinstance(value, str):
        return float(cv2.VideoWriter.fourcc(*value[:FOURCC_CHARS].ljust(FOURCC_CHARS)))
    match name:
        case "auto_exposure":
            return AUTO if value else MANUAL
        case "exposure_time_us":
            return max(1.0, round(value / EXPOSURE_UNIT_US))
        case _:
            return float(value)


def _from_v4l2(name: str, raw: float) -> Value:
    match name:
        case "pixel_format":
            code = int(raw).to_bytes(FOURCC_CHARS, "little")
            return code.decode("latin-1").rstrip(" \0")
        case "auto_exposure":
            return raw != MANUAL
        case "exposure_time_us":
            return raw * EXPOSURE_UNIT_US
        case "auto_white_balance":
            return raw != 0
        case _:
            return raw
