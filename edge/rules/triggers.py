"""Assigns frames to parts: the rules of triggered cameras. Pure.

* ``free``: no frame is a part.
* ``command``: each command makes one frame a part: the first one captured after it
  that no earlier command took. A frame that comes later than the limit shows another
  part, so the command's part is then *not inspected*. Each command has exactly one
  outcome, in the order of the commands.
* ``hardware``: every frame that the camera delivers is a part. A gap in the camera's
  own frame numbers is as many parts that were not inspected.

A missed part becomes a frame without pixels: it takes the path of all frames and ends
as a verdict ``not-inspected`` with its reason.
"""

from collections import deque
from dataclasses import dataclass, replace

from edge.frame import CameraFrame, Stamp

WAITING_MAX = 256  # commands of one camera without a frame: bounded memory
# Missed parts of one gap. A larger jump is a camera that started its numbers again.
GAP_PARTS_MAX = 1000
NS_PER_MS = 1_000_000
TOO_MANY = f"more than {WAITING_MAX} triggers were waiting for a frame"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A command to inspect one part."""

    part_id: str
    arrived_ns: int  # monotonic clock of the command
    arrived_wall_ns: int  # wall clock of the command, since 1970 UTC
    timeout_ms: int  # a frame captured later than this after the command is too late
    fault: str = ""  # why it will not be inspected, known from the start; empty else

    @property
    def deadline_ns(self) -> int:
        """Monotonic clock of the last capture that shows the part."""
        return self.arrived_ns + self.timeout_ms * NS_PER_MS

    def missed_frame(self, reason: str, frame_id: int) -> CameraFrame:
        """Return the part as a frame without pixels."""
        stamp = Stamp(frame_id, self.arrived_ns, self.arrived_wall_ns, self.part_id)
        return CameraFrame(None, stamp, reason)


class CommandTriggers:
    """The commands of one camera that wait for their frame."""

    def __init__(self) -> None:
        self._waiting: deque[Trigger] = deque()
        self._last_frame_id = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, trigger: Trigger) -> None:
        """Take a command, later than all before it.

        A command beyond ``WAITING_MAX`` gets its outcome in its turn, as the others.
        """
        is_full = len(self._waiting) >= WAITING_MAX
        self._waiting.append(replace(trigger, fault=TOO_MANY) if is_full else trigger)

    def assign_part(self, frame: CameraFrame) -> tuple[list[CameraFrame], str | None]:
        """Assign the next frame to the command that it answers.

        Returns:
            Parts that were missed before the frame, in order; and the name of the part
            that the frame shows, None = no command asked for it.
        """
        stamp = frame.stamp
        self._last_frame_id = stamp.frame_id
        missed: list[CameraFrame] = []
        # A frame captured before a command arrived shows the part before.
        while self._waiting and self._waiting[0].arrived_ns < stamp.captured_ns:
            trigger = self._waiting.popleft()
            if not trigger.fault and stamp.captured_ns <= trigger.deadline_ns:
                return missed, trigger.part_id
            late_ms = (stamp.captured_ns - trigger.arrived_ns) / NS_PER_MS
            late = f"its frame came {late_ms:.0f} ms after the trigger"
            limit = f", later than trigger_timeout_ms = {trigger.timeout_ms}"
            reason = trigger.fault or late + limit
            missed.append(trigger.missed_frame(reason, stamp.frame_id))
        return missed, None

    def pop_overdue(self, now_ns: int, camera_fault: str) -> list[CameraFrame]:
        """Remove and return the parts for which no frame came in time.

        Args:
            now_ns: Monotonic clock, read before the newest frame was requested: a
                frame that was captured in time must not find its command removed.
            camera_fault: Why there are no frames; empty = unknown.
        """
        missed = []
        while self._waiting and self._waiting[0].deadline_ns < now_ns:
            trigger = self._waiting.popleft()
            reason = (
                trigger.fault
                or camera_fault
                or (f"no frame within trigger_timeout_ms = {trigger.timeout_ms}")
            )
            missed.append(trigger.missed_frame(reason, self._last_frame_id))
        return missed

    def abandon(self, reason: str) -> list[CameraFrame]:
        """Remove and return every part that waits: there will be no frame for it."""
        waiting, self._waiting = self._waiting, deque()
        return [
            trigger.missed_frame(trigger.fault or reason, self._last_frame_id)
            for trigger in waiting
        ]


class HardwareTriggers:
    """The parts of a camera that is triggered by hardware: each frame is one.

    Args:
        prefix: Start of the parts' names, different for each such object: cameras
            start their frame numbers again.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._parts = 0
        self._last_frame_id: int | None = None

    def assign_part(self, frame: CameraFrame) -> tuple[list[CameraFrame], str]:
        """Name the part of the next frame.

        Returns:
            Parts that were missed before the frame, in order; and the name of the part
            that the frame shows.
        """
        stamp, before = frame.stamp, self._last_frame_id
        self._last_frame_id = stamp.frame_id
        missed: list[CameraFrame] = []
        if before is not None and stamp.frame_id - before - 1 <= GAP_PARTS_MAX:
            gap = range(before + 1, stamp.frame_id)
            missed = [self._missed_frame(number, stamp) for number in gap]
        return missed, self._next_name()

    def _missed_frame(self, frame_id: int, after: Stamp) -> CameraFrame:
        stamp = replace(after, frame_id=frame_id, part_id=self._next_name())
        return CameraFrame(None, stamp, f"frame {frame_id} of the camera never came")

    def _next_name(self) -> str:
        self._parts += 1
        return f"{self._prefix}-{self._parts}"


def with_part(frame: CameraFrame, part_id: str) -> CameraFrame:
    """Return the frame with the name of its part; its pixels are not copied."""
    return replace(frame, stamp=replace(frame.stamp, part_id=part_id))
