"""What every kind of source shares: the plan of a camera's process and its feed.

A camera's process runs one source once. It ends with exit code 0 where the source has
ended; on any fault it leaves a reason and ends with another code. It never mends
anything itself: the daemon starts it anew. Before every step that may hang it says by
when it will be back.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cameras.controls import Controls
from edge.cameras.frame_buffer import FrameBuffer, FrameBufferWriter, HeaderField
from edge.cameras.source import Source, SourceKind
from edge.frame import Pixels, Stamp
from models.errors import CameraError

if TYPE_CHECKING:
    from edge.cameras.health.monitor import ImageQualityMonitor, ImageQualityPlan

GRACE_MS = 1000  # for a busy machine, on top of what a step itself may take
SLICE_S = 0.2  # longest sleep without a sign of life
WAIT_MS = 3000  # promised while waiting: nothing can hang there, only be starved
FAULT_EXIT_CODE = 1
NOUNS = {
    SourceKind.FOLDER: "folder with pictures",
    SourceKind.VIDEO: "video file",
    SourceKind.STREAM: "network camera",
    SourceKind.USB: "camera in /dev/v4l/by-id",
    SourceKind.ARAVIS: "GigE or USB3 Vision camera",
}


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """What a camera's process has to do. Plain values: it needs no pydantic.

    Attributes:
        camera: Name of the camera.
        source: Where frames come from.
        fps: Pace, frames per second; 0 = the source's own.
        open_timeout_ms: Longest wait for the source.
        read_timeout_ms: Longest wait for a frame.
        first_frame_id: Number of the first frame to deliver.
        poisoned_frame_id: Frame that killed the process before: not read again.
        is_verbose: Native libraries may write on stderr.
        loops: A video file begins again at its end.
        health: How to look at the frames; none = they are not looked at.
        controls: What a USB, GigE or USB3 Vision camera is set to.
        opens: How to open a live source; none = through OpenCV. It comes with the
            plan into the camera's process, so it is a function of a module.
        keeps_every_frame: Each frame of a live camera is a part, see ``backlog``.
    """

    camera: str
    source: Source
    fps: float = 0
    open_timeout_ms: int = 5000
    read_timeout_ms: int = 1500
    first_frame_id: int = 0
    poisoned_frame_id: int | None = None
    is_verbose: bool = False
    loops: bool = False
    health: "ImageQualityPlan | None" = None
    controls: Controls = field(default_factory=Controls)
    opens: Callable[["CapturePlan"], Any] | None = None
    keeps_every_frame: bool = False

    def refuse_missing(self) -> None:
        """Refuse a file, folder or device that does not exist.

        Raises:
            CameraError: It does not.
        """
        kind, address = self.source.kind, self.source.address
        if kind.is_path and not Path(address).exists():
            raise self.fault(
                "there is no such file, folder or device.",
                why=f"Looked for a {NOUNS[kind]}.",
                fix=f"Give the path of an existing {NOUNS[kind]} in `source`.",
            )

    def fault(self, what: str, *, why: str, fix: str) -> CameraError:
        """Return the error that names this camera.

        Args:
            what: What failed.
            why: The cause.
            fix: The next action.
        """
        text = f"camera {self.camera}: {self.source.shown}: {what}"
        return CameraError(text, why=why, fix=fix)


class FramePublisher:
    """The way of frames and signs of life to the daemon.

    Args:
        slot: Shared with the daemon.
        guard: Looks at the frames; none = nobody does.
    """

    def __init__(
        self, slot: FrameBuffer, guard: "ImageQualityMonitor | None" = None
    ) -> None:
        self._slot = slot
        self._writer = FrameBufferWriter(slot)
        self._guard = guard

    @property
    def is_wanted(self) -> bool:
        """Whether the daemon is ready for frames."""
        return bool(self._slot.words[HeaderField.GO])

    def back_within(self, timeout_ms: float) -> None:
        """Promise a sign of life.

        Args:
            timeout_ms: Longest that the next step takes by itself.
        """
        deadline = time.monotonic_ns() + int((timeout_ms + GRACE_MS) * 1e6)
        self._slot.words[HeaderField.DEADLINE_NS] = deadline

    def reads(self, frame_id: int, timeout_ms: float) -> None:
        """Say which frame is read now, for the case that it kills the process.

        Args:
            frame_id: Its number.
            timeout_ms: Longest that reading takes.
        """
        self._slot.words[HeaderField.READS] = frame_id + 1
        self.back_within(timeout_ms)

    def warn(self, warnings: Sequence[str]) -> None:
        """Tell what is not as it was wanted, while frames come all the same.

        Args:
            warnings: A sentence each; none = everything is.
        """
        self._slot.reason = "; ".join(warnings)

    def count_damaged(self, frames: int) -> None:
        """Count frames that came damaged, or not at all, and are not handed over.

        Args:
            frames: How many.
        """
        self._slot.words[HeaderField.DAMAGED] += frames

    def wait_until_wanted(self) -> None:
        """Wait until the daemon is ready for frames."""
        while not self.is_wanted:
            self.back_within(WAIT_MS)
            time.sleep(0.005)

    def wait_until(self, due_ns: int) -> None:
        """Wait for a moment.

        Args:
            due_ns: Monotonic clock.
        """
        while (left_s := (due_ns - time.monotonic_ns()) / 1e9) > 0:
            self.back_within(WAIT_MS)
            time.sleep(min(left_s, SLICE_S))

    def wait_until_taken(self) -> None:
        """Wait until the daemon has taken the newest frame."""
        taken = False
        while not taken:
            self.back_within(WAIT_MS)
            taken = self._writer.wait_until_taken(SLICE_S)

    def is_taken(self, timeout_s: float) -> bool:
        """Return whether the daemon has the newest frame, waiting if it has not.

        It gives no sign of life: whoever reads the camera does.

        Args:
            timeout_s: Longest wait.
        """
        return self._writer.wait_until_taken(timeout_s)

    def publish(self, pixels: Pixels, stamp: Stamp) -> None:
        """Make a frame the newest one; see ``FrameBufferWriter.publish``.

        Where it cannot show the part, it comes as one that cannot be read.
        """
        fault = ""
        if self._guard is not None:
            fault = self._guard.fault_of(pixels, stamp)
            self._slot.words[HeaderField.CONDITION] = self._guard.alarms
        if fault:
            self._writer.publish_fault(fault, stamp)
        else:
            self._writer.publish(pixels, stamp)

    def publish_fault(self, fault: str, stamp: Stamp) -> None:
        """Report a frame that cannot be read: ``FrameBufferWriter.publish_fault``."""
        self._writer.publish_fault(fault, stamp)


def stamp_now(frame_id: int, part_id: str | None = None) -> Stamp:
    """Return the stamp of a frame that is captured at this moment.

    Args:
        frame_id: The source's own number.
        part_id: The part, for a triggered source.
    """
    return Stamp(frame_id, time.monotonic_ns(), time.time_ns(), part_id)
