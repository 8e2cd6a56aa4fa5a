"""Code that all kinds of source share: the plan of a camera's process, its publisher.

A camera's process runs one source once. It exits with code 0 when the source has
ended; on any fault it writes a reason and exits with another code. It never recovers by
itself: the daemon starts a new process. Before every step that may hang it writes the
deadline of its next sign of life.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cameras.frame_buffer import FrameBuffer, FrameBufferWriter, HeaderField
from edge.cameras.health.damaged_share import DamagedShare
from edge.cameras.settings import CameraHealthSettings, ControlSettings
from edge.cameras.source import FORMS, Source
from edge.frame import Pixels, Stamp
from models.errors import CameraError

if TYPE_CHECKING:
    from edge.cameras.health.baseline import Baseline
    from edge.cameras.health.monitor import ImageQualityMonitor

GRACE_MS = 1000  # for a busy machine, on top of what a step itself may take
WAIT_SLICE_S = 0.2  # longest sleep without a new deadline
WAIT_DEADLINE_MS = 3000  # a wait cannot hang, but its process may get no CPU time
ENABLED_POLL_S = 0.005
FAULT_EXIT_CODE = 1


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """The task of a camera's process. Equal plans need no new process."""

    camera: str
    source: Source
    fps: float  # pace, frames per second; 0 = the source's own
    open_timeout_ms: int
    read_timeout_ms: int
    loops: bool  # a video file starts again at its end
    keeps_every_frame: bool  # each frame of a live camera is a part, see `backlog`
    controls: ControlSettings
    health: CameraHealthSettings | None  # None = frames are not checked
    # learned before; None = not learned yet. It is not compared: a process that learned
    # it itself already uses it.
    baseline: "Baseline | None" = field(default=None, compare=False)
    first_frame_id: int = 0
    # frame that killed the process before: not read again
    poisoned_frame_id: int | None = None
    is_verbose: bool = False  # native libraries may write on stderr
    rtsp_transport: str = "tcp"  # or "udp"
    watches: bool = False  # a folder has no end: pictures are added to it
    # digests of the pictures of a watched folder that are left out
    inspected: frozenset[str] = field(default=frozenset(), compare=False)
    # opens a live source; None = through OpenCV. It is pickled with the plan, so it
    # must be a function or class of a module.
    open_capture: Callable[["CapturePlan"], Any] | None = None

    def refuse_missing(self) -> None:
        """Refuse a file, folder or device that does not exist.

        Raises:
            CameraError: It does not exist.
        """
        kind, address = self.source.kind, self.source.address
        if kind.is_path and not Path(address).exists():
            noun = FORMS[kind].noun
            raise self.fault(
                "there is no such file, folder or device.",
                why=f"Expected a {noun}.",
                fix=f"Give the path of an existing {noun} in `source`.",
            )

    def fault(self, what: str, *, why: str, fix: str) -> CameraError:
        """Return an error that names this camera and its source."""
        text = f"camera {self.camera}: {self.source.redacted}: {what}"
        return CameraError(text, why=why, fix=fix)


class FramePublisher:
    """Publishes frames and deadlines of a camera's process to the daemon.

    Args:
        monitor: Checks each frame before it is published; None = no checks.
    """

    def __init__(
        self, frame_buffer: FrameBuffer, monitor: "ImageQualityMonitor | None" = None
    ) -> None:
        self._frame_buffer = frame_buffer
        self._writer = FrameBufferWriter(frame_buffer)
        self._monitor = monitor
        self._damaged_share = DamagedShare()

    @property
    def is_enabled(self) -> bool:
        """Whether the daemon accepts frames."""
        return bool(self._frame_buffer.header[HeaderField.ENABLED])

    @property
    def bit_depth(self) -> int | None:
        """Bits that hold data in pictures of more than 8 bits; None = not known."""
        return int(self._frame_buffer.header[HeaderField.BIT_DEPTH]) or None

    def extend_deadline(self, timeout_ms: float) -> None:
        """Write the deadline of the next sign of life; the daemon kills later ones.

        Args:
            timeout_ms: Longest time that the next step may take.
        """
        deadline = time.monotonic_ns() + int((timeout_ms + GRACE_MS) * 1e6)
        self._frame_buffer.header[HeaderField.DEADLINE_NS] = deadline

    def start_read(self, frame_id: int, timeout_ms: float) -> None:
        """Write which frame is read next, in case it kills the process."""
        self._frame_buffer.header[HeaderField.CURRENT_READ] = frame_id + 1
        self.extend_deadline(timeout_ms)

    def set_warnings(self, warnings: Sequence[str]) -> None:
        """Report settings that the camera did not accept, a sentence each."""
        self._frame_buffer.reason = "; ".join(warnings)

    def note_open(self) -> None:
        """Report that the source is open; its first frame may be far off."""
        self._frame_buffer.header[HeaderField.OPEN] = 1

    def set_idle(self, *, is_idle: bool) -> None:
        """Report whether the source is open and has no picture now."""
        self._frame_buffer.header[HeaderField.IDLE] = is_idle

    def count_damaged(self, frames: int) -> None:
        """Count frames that came damaged, or not at all, and are not published."""
        if frames:
            self._frame_buffer.header[HeaderField.DAMAGED] += frames
            self._note_share(damaged=frames)

    def wait_until_enabled(self) -> None:
        """Wait until the daemon accepts frames."""
        while not self.is_enabled:
            self.extend_deadline(WAIT_DEADLINE_MS)
            time.sleep(ENABLED_POLL_S)

    def wait_until(self, due_ns: int) -> None:
        """Wait for a time of the monotonic clock."""
        while (left_s := (due_ns - time.monotonic_ns()) / 1e9) > 0:
            self.extend_deadline(WAIT_DEADLINE_MS)
            time.sleep(min(left_s, WAIT_SLICE_S))

    def wait_until_taken(self) -> None:
        """Wait until the daemon has taken the newest frame."""
        is_taken = False
        while not is_taken:
            self.extend_deadline(WAIT_DEADLINE_MS)
            is_taken = self.is_taken(WAIT_SLICE_S)

    def is_taken(self, timeout_s: float) -> bool:
        """Wait until the daemon has taken the newest frame; return whether it has.

        It does not extend the deadline: the thread that reads the camera does.
        """
        return self._writer.wait_until_taken(timeout_s)

    def publish(self, pixels: Pixels, stamp: Stamp) -> None:
        """Make a frame the newest one; see ``FrameBufferWriter.publish``.

        A frame that the monitor rejects is published as an unreadable one.
        """
        self._note_share(frames=1)
        fault = ""
        if self._monitor is not None:
            fault = self._monitor.fault_of(pixels, stamp)
            conditions = self._monitor.conditions
            self._frame_buffer.header[HeaderField.CONDITIONS] = conditions
        if fault:
            self._writer.publish_fault(fault, stamp)
        else:
            self._writer.publish(pixels, stamp)

    def publish_fault(self, fault: str, stamp: Stamp) -> None:
        """Publish an unreadable frame: ``FrameBufferWriter.publish_fault``."""
        self._writer.publish_fault(fault, stamp)

    def _note_share(self, *, frames: int = 0, damaged: int = 0) -> None:
        self._damaged_share.add(time.monotonic_ns(), frames, damaged)
        percent = self._damaged_share.percent
        self._frame_buffer.header[HeaderField.DAMAGED_PERCENT] = percent


def stamp_now(frame_id: int, part_id: str | None = None, picture: str = "") -> Stamp:
    """Return the stamp of a frame that is captured at this moment."""
    return Stamp(frame_id, time.monotonic_ns(), time.time_ns(), part_id, picture)
