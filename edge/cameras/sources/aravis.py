"""GigE and USB3 Vision cameras, through Aravis.

A frame comes in packets over UDP. One that lacks a packet is counted and never
published: an incomplete picture hides defects. A frame of which nothing came at all is
a gap in the camera's own numbers, and is counted too. The connection is lost when the
camera no longer answers its heartbeat, or in free run when no frame comes in time;
either ends the process, and the next start writes all settings again.

The bindings are Debian's (``gi``), built for Debian's Python, and importable in any
environment of the same minor version.

Source:
    GigE Vision 2.0: block numbers of 16 bits count from 1 and leave out 0.
"""

import sys
import threading
import time
from typing import Any, NamedTuple

import cv2
import numpy as np

from edge.cameras.controls import apply_controls
from edge.cameras.frame_publisher import CapturePlan, FramePublisher, stamp_now
from edge.cameras.sources.genicam import GenicamControls
from edge.frame import Pixels
from models.errors import CameraError

DEBIAN_PACKAGES = "/usr/lib/python3/dist-packages"
INSTALL = "apt install gir1.2-aravis-0.8 python3-gi"
FAKE_PREFIX = "Fake_"  # Aravis' own simulated camera inside the process
BUFFERS = 8
SEARCH_LIMIT_MS = 10_000  # one search of all interfaces and opening
POLL_S = 0.1  # longest wait for a frame without a check of the connection
BLOCK_NUMBERS = 65535  # of 16 bits, without 0
GAP_MAX = 1000  # a larger gap is a camera that restarted its numbers


class PixelFormat(NamedTuple):
    """Conversion of a raw picture to BGR; ``code`` is OpenCV's, None = it is BGR."""

    name: str
    channels: int
    code: int | None


# By GenICam number (PFNC). cv2's two-letter Bayer names start at another pixel; its
# RGGB ones are GenICam's.
PIXEL_FORMATS = {
    0x01080001: PixelFormat("Mono8", 1, cv2.COLOR_GRAY2BGR),
    0x01080008: PixelFormat("BayerGR8", 1, cv2.COLOR_BayerGRBG2BGR),
    0x01080009: PixelFormat("BayerRG8", 1, cv2.COLOR_BayerRGGB2BGR),
    0x0108000A: PixelFormat("BayerGB8", 1, cv2.COLOR_BayerGBRG2BGR),
    0x0108000B: PixelFormat("BayerBG8", 1, cv2.COLOR_BayerBGGR2BGR),
    0x02180014: PixelFormat("RGB8", 3, cv2.COLOR_RGB2BGR),
    0x02180015: PixelFormat("BGR8", 3, None),
}


def load_aravis() -> tuple[Any, type[Exception]]:
    """Return the library and its exception. Called in a camera's process only.

    Raises:
        ImportError: It is not installed, or not for this Python.
    """
    if DEBIAN_PACKAGES not in sys.path:
        # At the end: of two versions of a package the environment's own is used.
        sys.path.append(DEBIAN_PACKAGES)
    import gi  # noqa: PLC0415 (found through the line above)

    try:
        gi.require_version("Aravis", "0.8")
    except ValueError as exc:  # gi does not know the library
        raise ImportError(str(exc)) from exc
    from gi.repository import Aravis, GLib  # noqa: PLC0415 (after require_version)

    return Aravis, GLib.GError


def to_bgr(data: bytes, height: int, width: int, pixel_format: int) -> Pixels | None:
    """Return a camera's raw picture in colour.

    Returns:
        ``[H, W, 3]`` uint8 BGR; None where the format is unknown or bytes are missing.
    """
    known = PIXEL_FORMATS.get(pixel_format)
    if known is None:
        return None
    count = height * width * known.channels
    if count == 0 or len(data) < count:
        return None
    raw = np.frombuffer(data, np.uint8, count).reshape(height, width, known.channels)
    if known.code is None:
        return raw
    return np.asarray(cv2.cvtColor(raw, known.code), np.uint8)


def gap_between(before: int, now: int) -> int:
    """Return how many frames are missing between two of the camera's numbers.

    Args:
        before: Number of the previous frame; negative = this is the first.

    >>> gap_between(7, 8), gap_between(7, 10), gap_between(65535, 1)
    (0, 2, 0)
    """
    if before < 0:
        return 0
    step = now - before
    if step < 0 and before <= BLOCK_NUMBERS:
        step += BLOCK_NUMBERS
    return step - 1 if 0 < step <= GAP_MAX else 0


class GigeCamera:
    """An open camera that delivers frames.

    Args:
        frame_publisher: Its deadline is extended while the camera is searched.

    Raises:
        CameraError: The library is missing, or the camera is not found, is controlled
            by another program or does not start.
    """

    def __init__(self, plan: CapturePlan, frame_publisher: FramePublisher) -> None:
        self._plan = plan
        try:
            self._aravis, self._failure = load_aravis()
        except ImportError as exc:
            raise plan.fault(
                "GigE and USB3 Vision cameras need Aravis.",
                why=f"{exc} (Python {sys.version_info.major}.{sys.version_info.minor})",
                fix=f"{INSTALL}; this Python must have the version of Debian's.",
            ) from exc
        self._lost = threading.Event()
        self._camera = self._find(frame_publisher)
        try:
            self.warnings = apply_controls(
                plan.controls, GenicamControls(self._camera, self._failure)
            )
            self._stream = self._start_stream()
        except self._failure as exc:
            raise self._not_open(str(exc)) from exc

    def pop_buffer(self) -> Any | None:  # noqa: ANN401 (bindings without types)
        """Return the next buffer, complete or not, or None after ``POLL_S``.

        Raises:
            CameraError: The camera no longer answers.
        """
        if self._lost.is_set():
            raise self._plan.fault(
                "the camera no longer answers.",
                why="Its heartbeat stopped.",
                fix="Check its cable, power and network; it is opened again.",
            )
        return self._stream.timeout_pop_buffer(round(POLL_S * 1e6))

    def requeue(self, buffer: Any) -> None:  # noqa: ANN401
        """Let the camera fill a buffer again."""
        self._stream.push_buffer(buffer)

    def pixels_of(self, buffer: Any) -> Pixels | None:  # noqa: ANN401
        """Return the picture in a buffer; None where it is incomplete.

        Raises:
            CameraError: Its pixel format is not supported.
        """
        if buffer.get_status() != self._aravis.BufferStatus.SUCCESS:
            return None
        pixel_format = buffer.get_image_pixel_format()
        if pixel_format not in PIXEL_FORMATS:
            names = ", ".join(known.name for known in PIXEL_FORMATS.values())
            raise self._plan.fault(
                f"pixel format 0x{pixel_format:08x} is not supported.",
                why=f"Expected one of {names}.",
                fix="Set `pixel_format` in [camera.settings] to one of them.",
            )
        height, width = buffer.get_image_height(), buffer.get_image_width()
        return to_bgr(buffer.get_data(), height, width, pixel_format)

    def fire_trigger(self) -> None:
        """Capture one picture now; needs ``trigger_source = "Software"``.

        Raises:
            CameraError: The camera refused the trigger.
        """
        try:
            self._camera.software_trigger()
        except self._failure as exc:
            raise self._plan.fault(
                "the software trigger was refused.",
                why=str(exc),
                fix='Set trigger_mode = true and trigger_source = "Software".',
            ) from exc

    def _find(self, frame_publisher: FramePublisher) -> Any:  # noqa: ANN401
        """Search the camera until the open timeout, and return it.

        After a kill the camera refuses control until its heartbeat times out: 3 s.
        """
        if self._plan.source.address.startswith(FAKE_PREFIX):
            self._aravis.enable_interface("Fake")
        deadline = time.monotonic() + self._plan.open_timeout_ms / 1000
        while True:
            frame_publisher.extend_deadline(SEARCH_LIMIT_MS)
            is_late = time.monotonic() > deadline
            try:
                camera = self._aravis.Camera.new(self._plan.source.address)
            except self._failure as exc:
                if is_late:
                    raise self._not_open(str(exc)) from exc
            else:
                if _has_control(camera):
                    return camera
                # If only the answer was lost, this object controls the camera: free it.
                del camera
                if is_late:
                    raise self._not_open("Another program controls it.")
            time.sleep(POLL_S)
            self._aravis.update_device_list()

    def _start_stream(self) -> Any:  # noqa: ANN401
        self._camera.get_device().connect("control-lost", self._note_loss)
        self._camera.set_acquisition_mode(self._aravis.AcquisitionMode.CONTINUOUS)
        stream = self._camera.create_stream(None, None)
        payload = self._camera.get_payload()
        for _ in range(BUFFERS):
            stream.push_buffer(self._aravis.Buffer.new_allocate(payload))
        self._camera.start_acquisition()
        return stream

    def _note_loss(self, *_: object) -> None:
        """Record that the heartbeat stopped. Called by a thread of the library."""
        self._lost.set()

    def _not_open(self, why: str) -> CameraError:
        return self._plan.fault(
            "the camera cannot be opened.",
            why=why,
            fix="Check its cable, power and network, and the name: `arv-tool-0.8` "
            "lists all cameras that it finds.",
        )


def _has_control(camera: Any) -> bool:  # noqa: ANN401 (bindings without types)
    """Return whether this process controls the camera; only GigE has such a mode."""
    device = camera.get_device()
    return bool(device.is_controller()) if hasattr(device, "is_controller") else True


def run_aravis(plan: CapturePlan, frame_publisher: FramePublisher) -> None:
    """Publish the frames of a camera, as they come.

    Raises:
        CameraError: The camera cannot be opened, no longer answers, or in free run
            delivers no complete frame in time.
    """
    frame_publisher.extend_deadline(plan.open_timeout_ms)
    camera = GigeCamera(plan, frame_publisher)
    frame_publisher.set_warnings(camera.warnings)
    frame_publisher.note_open()
    _publish_frames(plan, frame_publisher, camera)


def _publish_frames(
    plan: CapturePlan, frame_publisher: FramePublisher, camera: GigeCamera
) -> None:
    frame_id, number_before = plan.first_frame_id, -1
    complete_s = time.monotonic()  # of the last complete frame
    while True:
        frame_publisher.start_read(frame_id, plan.read_timeout_ms)
        buffer = camera.pop_buffer()
        if buffer is None:
            _refuse_silence(plan, complete_s)
            continue
        number, pixels = buffer.get_frame_id(), camera.pixels_of(buffer)
        missing = gap_between(number_before, number)
        camera.requeue(buffer)
        number_before = number
        frame_id += missing
        frame_publisher.count_damaged(missing + (pixels is None))
        if pixels is None:
            _refuse_silence(plan, complete_s)
        else:
            complete_s = time.monotonic()
            if frame_publisher.is_enabled:
                frame_publisher.publish(pixels, stamp_now(frame_id))
        frame_id += 1


def _refuse_silence(plan: CapturePlan, complete_s: float) -> None:
    """Refuse a free-running camera without a complete frame for too long."""
    is_late = time.monotonic() - complete_s > plan.read_timeout_ms / 1000
    if is_late and not plan.controls.trigger_mode:
        raise plan.fault(
            "no complete frame.",
            why=f"None came within {plan.read_timeout_ms} ms.",
            fix="Check its cable, power and network; it is opened again.",
        )
