from pathlib import Path

import cv2
import pytest

from edge.cameras.sources.opencv import DAMAGED_RUN_MAX, Capture, DeviceNode
from models.errors import CameraError
from models.preprocess import Frame
from tests.simulators.plans import plan_of
from tests.simulators.videos import numbered


class Frames:
    """``cv2.VideoCapture`` of a stream in which False is a damaged frame."""

    def __init__(self, whole: list[bool], *, is_open: bool = True) -> None:
        self._whole, self._is_open = iter(whole), is_open
        self.released = 0

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return self._is_open

    def grab(self) -> bool:
        return next(self._whole, False)

    def retrieve(self) -> tuple[bool, Frame]:
        return True, numbered(1)

    def release(self) -> None:
        self.released += 1

    def get(self, propId: int) -> float:  # noqa: N803 (OpenCV's name)
        return 90_000.0

    def set(self, propId: int, value: float) -> bool:  # noqa: N803
        return False


def capture_of(frames: Frames) -> Capture:
    return Capture(plan_of("rtsp://cam/1", open_capture=lambda _: frames))


def test_damaged_frames_are_skipped_and_counted() -> None:
    with capture_of(Frames([True, False, False, True])) as capture:
        assert capture.read() is not None
        assert capture.skipped_damaged == 0
        assert capture.read() is not None
        assert capture.skipped_damaged == 2


def test_many_damaged_frames_in_a_row_are_the_end() -> None:
    frames = Frames([*[False] * DAMAGED_RUN_MAX, True])
    with capture_of(frames) as capture:
        assert capture.read() is None
        assert capture.skipped_damaged == 0
    assert frames.released == 1


def test_frame_rate_that_is_a_clock_rate_is_unknown() -> None:
    with capture_of(Frames([])) as capture:
        assert capture.fps == 0


def test_source_that_does_not_open_is_released_and_refused() -> None:
    frames = Frames([], is_open=False)
    with pytest.raises(CameraError, match="cannot be opened"):
        capture_of(frames)
    assert frames.released == 1


def test_device_node_that_was_replaced_is_refused(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch()
    device = DeviceNode(plan_of(f"v4l2:{node}"))
    device.refuse_change()
    other = tmp_path / "video1"
    other.touch()
    other.rename(node)
    with pytest.raises(CameraError, match="unplugged"):
        device.refuse_change()
    node.unlink()
    with pytest.raises(CameraError, match="unplugged"):
        device.refuse_change()


class Formatted(Frames):
    """A source that states the format of its pixels."""

    def __init__(self, code: bytes) -> None:
        super().__init__([True])
        self._code = float(int.from_bytes(code, "little"))

    def get(self, propId: int) -> float:  # noqa: N803 (OpenCV's name)
        is_format = propId in {cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_CODEC_PIXEL_FORMAT}
        return self._code if is_format else -1.0


def test_usb_camera_with_16_bit_values_is_refused() -> None:
    plan = plan_of("v4l2:/dev/video0", open_capture=lambda _: Formatted(b"Y16 "))
    with (
        Capture(plan) as capture,
        pytest.raises(CameraError, match="16 bits a channel") as caught,
    ):
        capture.refuse_deep_format()
    assert "pixel_format" in caught.value.fix


@pytest.mark.parametrize("code", [b"YUYV", b"MJPG", b"GREY", b"Y12 ", b"I420", b"BGR3"])
def test_formats_that_opencv_converts_by_their_bits_are_accepted(code: bytes) -> None:
    with capture_of(Formatted(code)) as capture:
        capture.refuse_deep_format()
