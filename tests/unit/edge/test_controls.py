"""What a camera is set to, and in which words."""

from typing import Any

import cv2

from edge.cameras.controls import Controls, Value, apply_controls
from edge.cameras.sources.aravis import gap_between, to_bgr
from edge.cameras.sources.genicam import GenicamControls
from edge.cameras.sources.v4l2 import V4l2Controls
from edge.config.camera import ControlSettings


class RefusedError(Exception):
    """What the library raises."""


class Port:
    """Takes everything and notes the order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.values: dict[str, Value] = {}

    def write(self, name: str, value: Value) -> None:
        self.log.append(f"write {name}")
        self.values[name] = value
        if name == "width_px":
            self.values["fps"] = 7  # only what comes later can mend it

    def read(self, name: str) -> Value | None:
        self.log.append(f"read {name}")
        return self.values.get(name)


class Usb:
    """``cv2.VideoCapture`` of a camera with a few properties."""

    def __init__(self) -> None:
        self.log: list[tuple[int, float]] = []

    def set(self, propId: int, value: float) -> bool:  # noqa: N803 (OpenCV's name)
        self.log.append((propId, value))
        return True

    def get(self, propId: int) -> float:  # noqa: N803 (OpenCV's name)
        return dict(self.log).get(propId, -1)


class Gige:
    """``Aravis.Camera`` of an old camera without automatic exposure."""

    def __init__(self) -> None:
        self.log: list[tuple[str, Any]] = []

    def is_feature_available(self, name: str) -> bool:
        return name != "ExposureAuto"

    def set_exposure_time(self, value: float) -> None:
        raise RefusedError

    def get_exposure_time(self) -> float:
        return 10_000.0

    def set_string(self, name: str, value: str) -> None:
        self.log.append((name, value))

    def get_string(self, name: str) -> str:
        return str(dict(self.log)[name])

    def set_integer(self, name: str, value: int) -> None:
        self.log.append((name, value))

    def get_integer(self, name: str) -> int:
        return int(dict(self.log)[name])


def test_all_is_written_before_anything_is_read() -> None:
    port = Port()
    controls = Controls(fps=15, width_px=640, auto_exposure=False)
    assert apply_controls(controls, port) == ()
    assert port.log == [
        "write width_px",
        "write fps",
        "write auto_exposure",
        "read width_px",
        "read fps",
        "read auto_exposure",
    ]


def test_what_is_not_given_is_left_alone() -> None:
    port = Port()
    assert apply_controls(Controls(), port) == ()
    assert port.log == []


def test_off_and_zero_are_wishes_too() -> None:
    wanted = Controls(auto_gain=False, gain=0).wanted()
    assert wanted == {"auto_gain": False, "gain": 0}


def test_configuration_and_camera_know_the_same_settings_in_the_same_order() -> None:
    assert list(ControlSettings.model_fields) == list(Controls.__slots__)
    assert ControlSettings(gain=3).controls == Controls(gain=3)


def test_usb_exposure_counts_in_tenths_of_a_millisecond_behind_automatic_off() -> None:
    usb = Usb()
    controls = Controls(auto_exposure=False, exposure_time_us=8000)
    assert apply_controls(controls, V4l2Controls(usb)) == ()
    assert usb.log == [
        (cv2.CAP_PROP_AUTO_EXPOSURE, 3),
        (cv2.CAP_PROP_AUTO_EXPOSURE, 1),
        (cv2.CAP_PROP_EXPOSURE, 80),
    ]


def test_usb_pixel_format_is_a_fourcc_and_triggers_are_not_there() -> None:
    usb = Usb()
    controls = Controls(pixel_format="MJPG", trigger_mode=True)
    (refused,) = apply_controls(controls, V4l2Controls(usb))
    assert refused.startswith("trigger_mode: wanted on, got nothing")
    assert usb.log == [(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))]


def test_genicam_trigger_is_set_up_before_it_is_switched_on() -> None:
    gige = Gige()
    controls = Controls(trigger_mode=True, trigger_source="Line0", width_px=640)
    assert apply_controls(controls, GenicamControls(gige, RefusedError)) == ()
    assert gige.log == [
        ("Width", 640),
        ("TriggerSource", "Line0"),
        ("TriggerSelector", "FrameStart"),
        ("TriggerMode", "On"),
    ]


def test_genicam_refusals_are_told_and_raise_nothing() -> None:
    controls = Controls(auto_exposure=False, exposure_time_us=8000)
    refused = apply_controls(controls, GenicamControls(Gige(), RefusedError))
    assert refused == (
        "auto_exposure: wanted off, got nothing (the camera has no such setting)",
        "exposure_time_us: wanted 8000, got 10000",
    )


def test_red_of_each_raw_format_is_red() -> None:
    red_at = {
        0x01080009: (0, 0),  # BayerRG8
        0x01080008: (0, 1),  # BayerGR8
        0x0108000A: (1, 0),  # BayerGB8
        0x0108000B: (1, 1),  # BayerBG8
    }
    for pixel_format, (row, column) in red_at.items():
        raw = bytearray(64)
        for y in range(row, 8, 2):
            for x in range(column, 8, 2):
                raw[y * 8 + x] = 200
        picture = to_bgr(bytes(raw), 8, 8, pixel_format)
        assert picture is not None
        assert picture[3:5, 3:5].mean(axis=(0, 1)).tolist() == [0, 0, 200]
    for pixel_format, raw_pixel in (
        (0x02180014, (200, 0, 0)),
        (0x02180015, (0, 0, 200)),
    ):
        picture = to_bgr(bytes(raw_pixel), 1, 1, pixel_format)
        assert picture is not None
        assert picture[0, 0].tolist() == [0, 0, 200]


def test_picture_with_too_few_bytes_or_of_an_unknown_format_is_none() -> None:
    assert to_bgr(bytes(63), 8, 8, 0x01080001) is None
    assert to_bgr(bytes(64), 8, 8, 0x01100003) is None


def test_gaps_are_counted_over_the_end_of_the_numbers() -> None:
    assert gap_between(-1, 500) == 0
    assert gap_between(65534, 2) == 2  # 65535 and 1; there is no 0
    assert gap_between(70_000, 70_003) == 2
    assert gap_between(500, 1) == 0  # the camera started to count anew
