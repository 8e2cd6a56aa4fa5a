"""The only module that uses OpenCV's video library, and live cameras through it.

By default it blocks up to 30 s in opening and in each read; it respects both limits if
they are given to the constructor. A frame that cannot be decoded fails its read, and
the next read continues behind it; a source that has ended or broken off fails each
read, at once. So a failure is a damaged frame only if a frame follows it. H.264 is
different: damage is mostly concealed with the frames around, without an error. A
stream that changes its resolution continues, scaled to the size at which it was
opened. OpenCV buffers frames: only a reader that never pauses gets the newest.

Source:
    Measured with OpenCV 5.0.0 and FFmpeg; opencv#23207 (limits must be given with
    ``CAP_FFMPEG``), opencv#23430 (the buffer's size cannot be set there).
"""

import os
import time
from pathlib import Path
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
# V4L2_PIX_FMT_Y16; FFmpeg's gray16, rgb48, bgr48 and gbrp16 (libavcodec/raw.c). Formats
# of 10 to 14 bits are converted by their own number of bits.
DEEP_FORMATS = {b"Y16 ", b"Y1\0\x10", b"\x10\x001Y", b"RGB0", b"BGR0", b"G3\0\x10"}
MAX_PLAUSIBLE_FPS = 1000.0
DAMAGED_RUN_MAX = 100  # more in a row is a source that has ended or broken off


class Backend(Properties, Protocol):
    """The methods of ``cv2.VideoCapture`` that a live camera needs."""

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        """Return whether it is open."""

    def grab(self) -> bool:
        """Advance by one frame and return whether there was one."""

    def retrieve(self) -> tuple[bool, Any]:
        """Return whether the frame can be decoded, and its pixels."""

    def release(self) -> None:
        """Close it."""


class Capture:
    """An open video source.

    Attributes:
        skipped_damaged: Damaged frames just before the one that was read last.

    Raises:
        CameraError: It cannot be opened within its limit.
    """

    def __init__(self, plan: CapturePlan) -> None:
        self._plan = plan
        self.skipped_damaged = 0
        self._capture: Backend = (plan.open_capture or _open)(plan)
        if not self._capture.isOpened():
            self._capture.release()
            raise plan.fault(
                "the video cannot be opened.",
                why=_open_failure(plan),
                fix=_FIXES[plan.source.kind],
            )

    @property
    def fps(self) -> float:
        """The source's own pace in frames per second; 0 where it is unknown."""
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        return fps if 0 < fps < MAX_PLAUSIBLE_FPS else 0.0

    def skip(self) -> bool:
        """Discard the next frame; return whether there was one."""
        return self._grab_undamaged()

    def read(self) -> Pixels | None:
        """Return the next undamaged frame, or None at the end or on a fault."""
        if not self._grab_undamaged():
            return None
        is_read, pixels = self._capture.retrieve()
        return np.asarray(pixels, np.uint8) if is_read else None

    def _grab_undamaged(self) -> bool:
        """Advance to the next undamaged frame; return whether there is one."""
        started_s, limit_s = time.monotonic(), self._plan.read_timeout_ms / 1000
        for failures in range(DAMAGED_RUN_MAX):
            if self._capture.grab():
                self.skipped_damaged = failures
                return True
            if time.monotonic() - started_s >= limit_s:
                break
        self.skipped_damaged = 0
        return False

    def refuse_deep_format(self) -> None:
        """Refuse 16-bit values: OpenCV divides them by 256, whatever bits are used.

        Raises:
            CameraError: They are of 16 bits.
        """
        for prop in (cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_CODEC_PIXEL_FORMAT):
            code = self._capture.get(prop)
            if code > 0 and int(code).to_bytes(8, "little")[:4] in DEEP_FORMATS:
                raise self._plan.fault(
                    "its pictures have 16 bits a channel.",
                    why="Which of them hold data is not known here: a picture of 12 "
                    "bits would be black.",
                    fix=_DEEP_FIXES[self._plan.source.kind],
                )

    def apply_controls(self) -> tuple[str, ...]:
        """Write the settings; return a sentence for each that was not accepted."""
        return apply_controls(self._plan.controls, V4l2Controls(self._capture))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()


class DeviceNode:
    """The device node of a USB camera at the time when the camera was opened.

    Some drivers continue to deliver frames, or seem to, after the camera was unplugged.

    Source:
        opencv#5746, opencv#6107 (an unplugged camera still reads).
    """

    def __init__(self, plan: CapturePlan) -> None:
        self._plan = plan
        self._node = self._identity()

    def refuse_change(self) -> None:
        """Refuse a device that is gone, or was replaced by another one.

        Raises:
            CameraError: It is gone or was replaced.
        """
        if self._identity() != self._node:
            raise self._plan.fault(
                "the camera was unplugged.",
                why="Its name in /dev is gone, or belongs to another device now.",
                fix="Check its cable; it is opened again as soon as it is there.",
            )

    def _identity(self) -> tuple[int, int] | None:
        """Return device and inode; None for a network camera, or without a node."""
        if self._plan.source.kind is not SourceKind.USB:
            return None
        try:
            status = Path(self._plan.source.address).stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


def run_live(plan: CapturePlan, frame_publisher: FramePublisher) -> None:
    """Publish the frames of a network or USB camera, as they come.

    Raises:
        CameraError: It cannot be opened, or delivers no frame in time. A live camera
            has no end.
    """
    frame_publisher.extend_deadline(plan.open_timeout_ms)
    frame_id = plan.first_frame_id
    node = DeviceNode(plan)
    with Capture(plan) as capture, Backlog(plan, frame_publisher) as backlog:
        if plan.source.kind is SourceKind.USB:
            frame_publisher.set_warnings(capture.apply_controls())
        capture.refuse_deep_format()
        while True:
            frame_publisher.start_read(frame_id, plan.read_timeout_ms)
            pixels = capture.read()
            node.refuse_change()
            if pixels is None:
                # It never came: it must not count as the frame that was read last.
                frame_publisher.start_read(frame_id - 1, plan.read_timeout_ms)
                raise plan.fault(
                    "no frame.",
                    why=f"None came within {plan.read_timeout_ms} ms, or the camera "
                    "closed the connection.",
                    fix="Check its cable, power and network; it is opened again.",
                )
            frame_id += capture.skipped_damaged
            frame_publisher.count_damaged(capture.skipped_damaged)
            if frame_publisher.is_enabled:
                backlog.publish(pixels, stamp_now(frame_id))
            frame_id += 1


def _open(plan: CapturePlan) -> cv2.VideoCapture:
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
        # It applies to the whole process, which reads this camera only.
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = FFMPEG_OPTIONS
    return cv2.VideoCapture(source.address, cv2.CAP_FFMPEG, limits)


_DEEP_FIXES = {
    SourceKind.VIDEO: "Record it with 8 bits, or as a folder of 16-bit PNG files.",
    SourceKind.STREAM: "Set the camera to a format of 8 bits.",
    SourceKind.USB: "Set `pixel_format` in [camera.settings] to a format of 8 bits.",
}
_FIXES = {
    SourceKind.VIDEO: "Give the path of a video file that ffmpeg can play.",
    SourceKind.STREAM: "Check the URL, the network and the camera's power.",
    SourceKind.USB: "Check the cable and the device's name in /dev/v4l/by-id.",
}


def _open_failure(plan: CapturePlan) -> str:
    source = plan.source
    if source.kind is SourceKind.STREAM:
        return f"No video came within {plan.open_timeout_ms} ms."
    if not os.access(source.address, os.R_OK):
        return "No permission to read it."
    return "It exists, but no video can be read from it."
