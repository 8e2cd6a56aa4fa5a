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
from typing import TYPE_CHECKING, Any, Protocol, Self

import cv2
import numpy as np

from edge.cameras.backlog import Backlog
from edge.cameras.controls import apply_controls
from edge.cameras.frame_publisher import CapturePlan, FramePublisher, stamp_now
from edge.cameras.native_log import NativeLog, NoNativeLog
from edge.cameras.source import SourceKind
from edge.cameras.sources.damage import (
    KEY_FRAME_LIMIT_S,
    DamageRules,
    has_damage,
    new_sizes,
)
from edge.cameras.sources.open_failure import Cause, cause_of, silence
from edge.cameras.sources.v4l2 import Properties, V4l2Controls
from edge.frame import Pixels
from models.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Callable

# One thread decodes each frame at once: a log line is about this frame or the next.
LOW_DELAY = "flags;low_delay"
# FFmpeg reads frames until it is sure about the pace, which is not used here: 28 frames
# of H.264, 3 s at 10 frames per second. Now it reads 4. They are not discarded
# (`nobuffer`): the first is a key frame, and the next one is seconds away.
RTSP = f"{LOW_DELAY}|analyzeduration;1|fpsprobesize;0|rtsp_transport;"
# A queue of two packets holds back nothing while none is lost, and makes FFmpeg log a
# packet that is missing; without a queue it does not compare the numbers. Over UDP it
# has a queue by default.
RTSP_OPTIONS = {
    "tcp": f"{RTSP}tcp|reorder_queue_size;2",
    "udp": f"{RTSP}udp|buffer_size;1048576",  # of the socket: a key frame is a burst
}
HTTP_OPTIONS = f"{LOW_DELAY}|fflags;nobuffer"
OPENING_FRAMES = 10  # more than FFmpeg reads while it opens a stream
MJPEG = b"MJPG"
ASCII_CODES = 128
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

    Args:
        log: What the libraries print: it shows damage, causes and new sizes.

    Attributes:
        skipped_damaged: Damaged frames just before the one that was read last.
        on_damaged: Called with the number of damaged frames, as soon as they are known.
        has_new_size: The source sends pictures of another size than at its opening;
            they are scaled.

    Raises:
        CameraError: It cannot be opened within its limit.
    """

    def __init__(self, plan: CapturePlan, log: NativeLog | None = None) -> None:
        self._plan, self._log = plan, log or NoNativeLog()
        self.skipped_damaged, self.has_new_size = 0, False
        self.on_damaged: Callable[[int], None] = _ignore
        self._log.read()  # what another source printed before
        self._capture: Backend = (plan.open_capture or _open)(plan)
        self._last_log = self._log.read()
        if not self._capture.isOpened():
            self._capture.release()
            cause = _open_failure(plan, self._last_log)
            raise plan.fault(
                "the video cannot be opened.", why=cause.why, fix=cause.fix
            )
        kind = plan.source.kind
        is_intra = kind is SourceKind.USB or self._code(cv2.CAP_PROP_FOURCC) == MJPEG
        self._rules = DamageRules(is_intra, time.monotonic())
        if not kind.is_file:  # the frames of a file are read again, with their log
            self._rules.note_opening(self._last_log, OPENING_FRAMES)
        self._size_px = self._size()
        self._has_frame = False

    @property
    def fps(self) -> float:
        """The source's own pace in frames per second; 0 where it is unknown."""
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        return fps if 0 < fps < MAX_PLAUSIBLE_FPS else 0.0

    @property
    def cause(self) -> Cause | None:
        """Why the last read failed, where the libraries state it."""
        transport = self._plan.rtsp_transport
        return cause_of(self._last_log, self._plan.source.kind, transport)

    def skip(self) -> bool:
        """Discard the next undamaged frame; return whether there was one."""
        return self._grab_undamaged()

    def read(self) -> Pixels | None:
        """Return the next undamaged frame, or None at the end or on a fault.

        Raises:
            CameraError: No key frame came for too long after damage.
        """
        skipped = 0
        while self._grab_undamaged():
            is_read, pixels = self._capture.retrieve()
            self.skipped_damaged += skipped
            if not self._is_damaged_jpeg():
                return np.asarray(pixels, np.uint8) if is_read else None
            self._note_damaged(1)
            skipped = self.skipped_damaged
        return None

    def _is_damaged_jpeg(self) -> bool:
        """Return whether a USB camera's picture is damaged: it is decoded last."""
        is_usb = self._plan.source.kind is SourceKind.USB
        return is_usb and has_damage(self._log.read())

    def _grab_undamaged(self) -> bool:
        """Advance to the next undamaged frame; return whether there is one."""
        heard_s, limit_s = time.monotonic(), self._plan.read_timeout_ms / 1000
        self.skipped_damaged = failures = 0
        while failures < DAMAGED_RUN_MAX:
            is_grabbed = self._capture.grab()
            now_s, log = time.monotonic(), self._log.read()
            self._last_log = log
            if is_grabbed:
                self._note_size(log)
                is_damaged = self._rules.update(log, self._frame_type, now_s)
                self._note_damaged(failures + is_damaged)
                if not is_damaged:
                    return True
                failures, heard_s = 0, now_s
            else:
                failures += 1
                if self._rules.note_undecoded(log):
                    heard_s = now_s  # packets come, and nothing can be decoded
                elif now_s - heard_s >= limit_s:
                    break
            if self._rules.waits_too_long(now_s):
                raise self._no_key_frame()
        return False

    def _note_damaged(self, frames: int) -> None:
        if frames:
            self.skipped_damaged += frames
            self.on_damaged(frames)

    def _note_size(self, log: str) -> None:
        """Note pictures of another size; the first frame initializes the decoder."""
        if self._has_frame:
            self.has_new_size |= any(size != self._size_px for size in new_sizes(log))
        self._has_frame = True

    def _no_key_frame(self) -> CameraError:
        return self._plan.fault(
            "no key frame.",
            why=f"Packets were lost, and no key frame came for {KEY_FRAME_LIMIT_S:g} s "
            "after that.",
            fix="Set a shorter key frame interval (GOP) in the camera; it is opened "
            "again.",
        )

    @property
    def _frame_type(self) -> str:
        code = self._capture.get(cv2.CAP_PROP_FRAME_TYPE)
        return chr(int(code)) if 0 < code < ASCII_CODES else ""

    def _size(self) -> tuple[int, int]:
        width = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        return int(width), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))

    def _code(self, prop: int) -> bytes:
        """Return a code of four characters; empty where the source has none."""
        code = self._capture.get(prop)
        return int(code).to_bytes(8, "little")[:4] if code > 0 else b""

    def refuse_deep_format(self) -> None:
        """Refuse 16-bit values: OpenCV divides them by 256, whatever bits are used.

        Raises:
            CameraError: They are of 16 bits.
        """
        for prop in (cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_CODEC_PIXEL_FORMAT):
            if self._code(prop) in DEEP_FORMATS:
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


def run_live(
    plan: CapturePlan, frame_publisher: FramePublisher, log: NativeLog | None = None
) -> None:
    """Publish the frames of a network or USB camera, as they come.

    Raises:
        CameraError: It cannot be opened, delivers no frame in time, or sends pictures
            of another size: opened again, it is read in that size. A live camera has
            no end.
    """
    frame_publisher.extend_deadline(plan.open_timeout_ms)
    frame_id = plan.first_frame_id
    node = DeviceNode(plan)

    def note_damaged(frames: int) -> None:
        frame_publisher.count_damaged(frames)
        frame_publisher.extend_deadline(plan.read_timeout_ms)

    with Capture(plan, log) as capture, Backlog(plan, frame_publisher) as backlog:
        capture.on_damaged = note_damaged
        if plan.source.kind is SourceKind.USB:
            frame_publisher.set_warnings(capture.apply_controls())
        capture.refuse_deep_format()
        frame_publisher.note_open()
        while True:
            frame_publisher.start_read(frame_id, plan.read_timeout_ms)
            pixels = capture.read()
            node.refuse_change()
            if pixels is None or capture.has_new_size:
                # It never came: it must not count as the frame that was read last.
                frame_publisher.start_read(frame_id - 1, plan.read_timeout_ms)
                raise _no_frame(plan, capture)
            frame_id += capture.skipped_damaged
            if frame_publisher.is_enabled:
                backlog.publish(pixels, stamp_now(frame_id))
            frame_id += 1


def _no_frame(plan: CapturePlan, capture: Capture) -> CameraError:
    """Return why no frame of an open camera can be published."""
    if capture.has_new_size:
        return plan.fault(
            "the size of its pictures changed.",
            why="It was changed in the camera.",
            fix="Check the settings of the camera; it is opened again in the new size.",
        )
    cause = capture.cause or Cause(
        f"None came within {plan.read_timeout_ms} ms, or the camera closed the "
        "connection.",
        "Check its cable, power and network; it is opened again.",
    )
    return plan.fault("no frame.", why=cause.why, fix=cause.fix)


def _ignore(_frames: int) -> None:
    """Count nothing: these frames were counted before."""


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
        own = RTSP_OPTIONS[plan.rtsp_transport]
        options = own if source.is_rtsp else HTTP_OPTIONS
        # It applies to the whole process, which reads this camera only.
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = options
    else:
        # Several threads decode frames ahead: the log would be about any of them.
        limits += [cv2.CAP_PROP_N_THREADS, 1]
    return cv2.VideoCapture(source.address, cv2.CAP_FFMPEG, limits)


_DEEP_FIXES = {
    SourceKind.VIDEO: "Record it with 8 bits, or as a folder of 16-bit PNG files.",
    SourceKind.STREAM: "Set the camera to a format of 8 bits.",
    SourceKind.USB: "Set `pixel_format` in [camera.settings] to a format of 8 bits.",
}
_FIXES = {
    SourceKind.VIDEO: "Give the path of a video file that ffmpeg can play.",
    SourceKind.USB: "Check the cable and the device's name in /dev/v4l/by-id.",
}


def _open_failure(plan: CapturePlan, log: str) -> Cause:
    source = plan.source
    if cause := cause_of(log, source.kind, plan.rtsp_transport):
        return cause
    if source.kind is SourceKind.STREAM:
        return silence(log, plan.open_timeout_ms)
    fix = _FIXES[source.kind]
    if not os.access(source.address, os.R_OK):
        return Cause("No permission to read it.", fix)
    return Cause("It exists, but no video can be read from it.", fix)
