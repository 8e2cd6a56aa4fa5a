"""The one door to OpenCV's video library, and live cameras through it.

Its defaults block 30 s in opening and 30 s in each read; with both limits given in the
constructor it keeps them. After a failed read it fails for ever, so a failure ends the
process. It buffers frames: only a reader that never pauses sees the newest.

Source:
    Measured with OpenCV 5.0.0 and FFmpeg; opencv#23207 (limits must be given with
    ``CAP_FFMPEG``), opencv#23430 (the buffer's size cannot be set there).
"""

import os
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from edge.cameras.backlog import Backlog
from edge.cameras.feed import CapturePlan, Feed, stamp_now
from edge.cameras.slot import Pixels
from edge.cameras.source import SourceKind

# TCP: over UDP a lost packet smears the picture, and opencv#27091 hangs.
FFMPEG_OPTIONS = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"
MAX_PLAUSIBLE_FPS = 1000.0


class Capture:
    """An open video source.

    Args:
        plan: Names the source and its limits.

    Raises:
        CameraError: It cannot be opened within its limit.
    """

    def __init__(self, plan: CapturePlan) -> None:
        self._plan = plan
        self._capture = _open(plan)
        if not self._capture.isOpened():
            self._capture.release()
            raise plan.fault(
                "the video cannot be opened.",
                why=_why_not_open(plan),
                fix=_FIXES[plan.source.kind],
            )

    @property
    def fps(self) -> float:
        """The source's own pace in frames per second; 0 where it does not say."""
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        return fps if 0 < fps < MAX_PLAUSIBLE_FPS else 0.0

    def skip(self) -> bool:
        """Return whether there was one more frame, which is thrown away."""
        return bool(self._capture.grab())

    def read(self) -> Pixels | None:
        """Return the next frame, or nothing at the end or on a fault.

        Returns:
            ``[H, W, 3]`` uint8 BGR.
        """
        is_read, pixels = self._capture.read()
        return np.asarray(pixels, np.uint8) if is_read else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._capture.release()


def run_live(plan: CapturePlan, feed: Feed) -> None:
    """Hand over the frames of a network or USB camera, as they come.

    Args:
        plan: What to do.
        feed: Way to the daemon.

    Raises:
        CameraError: It cannot be opened, or gives no frame in time. A live camera
            has no end.
    """
    feed.back_within(plan.open_timeout_ms)
    frame_id = plan.first_frame_id
    with Capture(plan) as capture, Backlog(plan, feed) as backlog:
        while True:
            feed.reads(frame_id, plan.read_timeout_ms)
            pixels = capture.read()
            if pixels is None:
                feed.reads(frame_id - 1, plan.read_timeout_ms)  # it never came
                raise plan.fault(
                    "no frame.",
                    why=f"None came within {plan.read_timeout_ms} ms, or the camera "
                    "closed the connection.",
                    fix="Look at its cable, power and network; it is tried again.",
                )
            if feed.is_wanted:
                backlog.publish(pixels, stamp_now(frame_id))
            frame_id += 1


def _open(plan: CapturePlan) -> cv2.VideoCapture:
    """Return the capture, open or not."""
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        plan.open_timeout_ms,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        plan.read_timeout_ms,
    ]
    source = plan.source
    if source.kind is SourceKind.USB:
        limit_s = max(1, round(plan.read_timeout_ms / 1000))
        os.environ["OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"] = str(limit_s)
        newest_only = [cv2.CAP_PROP_BUFFERSIZE, 1]
        return cv2.VideoCapture(source.address, cv2.CAP_V4L2, newest_only)
    if source.kind is SourceKind.STREAM:
        # Of the whole process, which is this camera's own.
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = FFMPEG_OPTIONS
    return cv2.VideoCapture(source.address, cv2.CAP_FFMPEG, limits)


_FIXES = {
    SourceKind.VIDEO: "Give the path of a video file that ffmpeg can play.",
    SourceKind.STREAM: "Look at the URL, the network and the camera's power.",
    SourceKind.USB: "Look at the cable and the device's name in /dev/v4l/by-id.",
}


def _why_not_open(plan: CapturePlan) -> str:
    """Return the cause as far as it can be known."""
    source = plan.source
    if source.kind is SourceKind.STREAM:
        return f"Nothing answered with a video within {plan.open_timeout_ms} ms."
    if not os.access(source.address, os.R_OK):
        return "No permission to read it."
    return "It is there, but no video comes out of it."
