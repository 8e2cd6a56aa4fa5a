"""The one door to OpenCV's video library, and live cameras through it.

Its defaults block 30 s in opening and 30 s in each read; with both limits given in the
constructor it keeps them. A frame that cannot be decoded fails its read, and the next
read goes on behind it; a source that has ended or broken off fails each read, at once.
So a failure is a damaged frame only if a frame follows it. H.264 is different: what is
damaged there is mostly patched up from the frames around, and comes without a word. A
stream that changes its resolution goes on, scaled to the size that it was opened with.
It buffers frames: only a reader that never pauses sees the newest.

Source:
    Measured with OpenCV 5.0.0 and FFmpeg; opencv#23207 (limits must be given with
    ``CAP_FFMPEG``), opencv#23430 (the buffer's size cannot be set there).
"""

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import cv2
import numpy as np

from edge.cameras.backlog import Backlog
from edge.cameras.controls import apply_controls
from edge.cameras.frame_publisher import CapturePlan, FramePublisher, stamp_now
from edge.cameras.source import SourceKind
from edge.cameras.sources.v4l2 import Properties, V4l2Controls
from edge.frame import Pixels

# TCP: over UDP a lost packet smears the picture, and opencv#27091 hangs.
FFMPEG_OPTIONS = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"
MAX_PLAUSIBLE_FPS = 1000.0
DAMAGED_RUN_MAX = 100  # more in a row is a source that has ended or broken off


class Backend(Properties, Protocol):
    """What of ``cv2.VideoCapture`` a live camera needs."""

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        """Return whether it is open."""

    def grab(self) -> bool:
        """Move on by one frame and return whether there was one."""

    def retrieve(self) -> tuple[bool, Any]:
        """Return whether the frame can be had, and its pixels."""

    def release(self) -> None:
        """Close it."""


class Capture:
    """An open video source.

    Args:
        plan: Names the source and its limits.

    Attributes:
        passed_over: Damaged frames just before the one that was read last.

    Raises:
        CameraError: It cannot be opened within its limit.
    """

    def __init__(self, plan: CapturePlan) -> None:
        self._plan = plan
        self.passed_over = 0
        self._capture: Backend = (plan.opens or _open)(plan)
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
        return self._reach()

    def read(self) -> Pixels | None:
        """Return the next whole frame, or nothing at the end or on a fault.

        Returns:
            ``[H, W, 3]`` uint8 BGR.
        """
        if not self._reach():
            return None
        is_read, pixels = self._capture.retrieve()
        return np.asarray(pixels, np.uint8) if is_read else None

    def _reach(self) -> bool:
        """Move on to the next frame that is whole and return whether there is one."""
        began_s, limit_s = time.monotonic(), self._plan.read_timeout_ms / 1000
        for failures in range(DAMAGED_RUN_MAX):
            if self._capture.grab():
                self.passed_over = failures
                return True
            if time.monotonic() - began_s >= limit_s:
                break
        self.passed_over = 0
        return False

    def apply_controls(self) -> tuple[str, ...]:
        """Set the camera up and return what it did not take."""
        return apply_controls(self._plan.controls, V4l2Controls(self._capture))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._capture.release()


class Device:
    """The device node of a USB camera, as it was when the camera was opened.

    Some drivers go on to deliver, or to pretend to, after the plug was drawn.

    Args:
        plan: Names the source.

    Source:
        opencv#5746, opencv#6107 (an unplugged camera still reads).
    """

    def __init__(self, plan: CapturePlan) -> None:
        self._plan = plan
        self._node = self._look()

    def refuse_other(self) -> None:
        """Refuse a device that has gone, or that is another one now.

        Raises:
            CameraError: It has, or is.
        """
        if self._look() != self._node:
            raise self._plan.fault(
                "the camera was unplugged.",
                why="Its name in /dev is gone, or stands for another device now.",
                fix="Look at its cable; it is opened again as soon as it is there.",
            )

    def _look(self) -> tuple[int, int] | None:
        """Return what identifies the node; nothing where there is none."""
        if self._plan.source.kind is not SourceKind.USB:
            return None
        try:
            seen = Path(self._plan.source.address).stat()
        except OSError:
            return None
        return seen.st_dev, seen.st_ino


def run_live(plan: CapturePlan, feed: FramePublisher) -> None:
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
    device = Device(plan)
    with Capture(plan) as capture, Backlog(plan, feed) as backlog:
        if plan.source.kind is SourceKind.USB:
            feed.warn(capture.apply_controls())
        while True:
            feed.reads(frame_id, plan.read_timeout_ms)
            pixels = capture.read()
            device.refuse_other()
            if pixels is None:
                feed.reads(frame_id - 1, plan.read_timeout_ms)  # it never came
                raise plan.fault(
                    "no frame.",
                    why=f"None came within {plan.read_timeout_ms} ms, or the camera "
                    "closed the connection.",
                    fix="Look at its cable, power and network; it is tried again.",
                )
            frame_id += capture.passed_over
            feed.count_damaged(capture.passed_over)
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
        limit_s = max(1, plan.read_timeout_ms // 1000)
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
