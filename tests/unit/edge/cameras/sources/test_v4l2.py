import cv2

from edge.cameras.controls import apply_controls
from edge.cameras.settings import ControlSettings
from edge.cameras.sources.v4l2 import V4l2Controls


class Usb:
    """``cv2.VideoCapture`` of a camera with a few properties."""

    def __init__(self) -> None:
        self.log: list[tuple[int, float]] = []

    def set(self, propId: int, value: float) -> bool:  # noqa: N803 (OpenCV's name)
        self.log.append((propId, value))
        return True

    def get(self, propId: int) -> float:  # noqa: N803 (OpenCV's name)
        return dict(self.log).get(propId, -1)


def test_exposure_is_written_in_units_of_100_us_after_automatic_is_off() -> None:
    usb = Usb()
    controls = ControlSettings(auto_exposure=False, exposure_time_us=8000)
    assert apply_controls(controls, V4l2Controls(usb)) == ()
    assert usb.log == [
        (cv2.CAP_PROP_AUTO_EXPOSURE, 3),
        (cv2.CAP_PROP_AUTO_EXPOSURE, 1),
        (cv2.CAP_PROP_EXPOSURE, 80),
    ]


def test_pixel_format_is_a_fourcc_and_there_is_no_trigger() -> None:
    usb = Usb()
    controls = ControlSettings(pixel_format="MJPG", trigger_mode=True)
    (refused,) = apply_controls(controls, V4l2Controls(usb))
    assert refused.startswith("trigger_mode: wanted on, got nothing")
    assert usb.log == [(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))]


def test_settings_are_read_back_in_their_own_unit() -> None:
    usb = Usb()
    port = V4l2Controls(usb)
    for name, value in (
        ("pixel_format", "MJPG"),
        ("auto_exposure", True),
        ("exposure_time_us", 8000),
        ("auto_white_balance", False),
        ("gain", 4),
    ):
        port.write(name, value)
        assert port.read(name) == value
