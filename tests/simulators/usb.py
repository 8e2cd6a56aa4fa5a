"""A USB camera made of files: it can be unplugged, and returns as another device.

A device node is a file with the camera's settings; ``by-id`` is a link to
it, as udev makes one. ``FakeCapture`` behaves as ``cv2.VideoCapture`` does over
Video4Linux.
"""

import json
import os
import time
from pathlib import Path

import cv2

from edge.cameras.frame_publisher import CapturePlan
from models.preprocess import Frame
from tests.simulators.videos import numbered

FACTORY: dict[str, float] = {
    str(cv2.CAP_PROP_AUTO_EXPOSURE): 3,
    str(cv2.CAP_PROP_EXPOSURE): 156,
    str(cv2.CAP_PROP_GAIN): 1,
    str(cv2.CAP_PROP_FPS): 30,
    str(cv2.CAP_PROP_FRAME_WIDTH): 640,
    str(cv2.CAP_PROP_FRAME_HEIGHT): 480,
}
GAIN_MAX = 16
STREAM_REFUSED = (
    b"[ WARN:0@0.5] global cap_v4l.cpp:902 streaming VIDEOIO(V4L2:/dev/video0): failed "
    b"VIDIOC_STREAMON: errno=%d (%b)\n"
)


class UsbCamera:
    """The camera, and its plug.

    Args:
        folder: Stands for ``/dev``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.by_id = folder / "by-id-camera"
        self.node = folder / "none"
        self.source = f"v4l2:{self.by_id}"

    def plug(self, number: int, *, cuts_jpegs: bool = False, error: int = 0) -> None:
        """Appear as ``video<number>``, as it comes from the factory.

        Args:
            cuts_jpegs: Each tenth picture is cut, as on a bus that is too busy.
            error: Error number with which it refuses to send pictures; 0 = it does not.
        """
        self.node = self._folder / f"video{number}"
        values = {**FACTORY, "cuts_jpegs": float(cuts_jpegs), "error": float(error)}
        self.node.write_text(json.dumps(values))
        link = self._folder / "link"
        link.symlink_to(self.node)
        link.rename(self.by_id)

    def unplug(self) -> None:
        """Remove the node and its link."""
        self.node.unlink()
        self.by_id.unlink()

    def is_set_to(self, prop: int) -> float | None:
        """Return a setting of the camera."""
        values: dict[str, float] = json.loads(self.node.read_text())
        return values.get(str(prop))


class FakeCapture:
    """The open camera; it still "delivers" after it was unplugged, as some do."""

    def __init__(self, plan: CapturePlan) -> None:
        self._node = Path(plan.source.address).resolve()
        self._values: dict[str, float] = json.loads(self._node.read_text())
        self._number = -1

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return True

    def set(self, propId: int, value: float) -> bool:  # noqa: N803 (OpenCV's name)
        """Accept a value as a cheap camera does: not always, and without an error."""
        is_manual = self._values[str(cv2.CAP_PROP_AUTO_EXPOSURE)] == 1
        if propId == cv2.CAP_PROP_EXPOSURE and not is_manual:
            return True
        if propId == cv2.CAP_PROP_GAIN:
            value = min(value, GAIN_MAX)
        if propId in {cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT}:
            self._values[str(cv2.CAP_PROP_FPS)] = (
                30  # a new format resets the frame rate
            )
        if str(propId) in self._values:
            self._values[str(propId)] = value
            self._node.write_text(json.dumps(self._values))
        return True

    def get(self, propId: int) -> float:  # noqa: N803 (OpenCV's name)
        return self._values.get(str(propId), -1)

    def grab(self) -> bool:
        time.sleep(1 / 30)
        self._number += 1
        if error := int(self._values["error"]):
            os.write(2, STREAM_REFUSED % (error, os.strerror(error).encode()))
        return not error

    def retrieve(self) -> tuple[bool, Frame]:
        if self._values["cuts_jpegs"] and self._number % 10 == 9:
            os.write(2, b"Corrupt JPEG data: premature end of data segment\n")
        return True, numbered(self._number % 256)

    def release(self) -> None:
        """Close it."""
