"""Newest-frame slot: frames from a camera's process to the daemon, without a lock.

The memory is an anonymous file (memfd) that both processes map: it has no name, so
whoever is killed, and however, nothing is left behind. It is made anew for each start
of a camera's process. The pages of a buffer exist only once they are written, so the
room for the largest frame costs nothing while frames are small.

Three buffers, one writer, one reader::

    LATEST   sequence number and buffer of the newest whole frame     (writer)
    READING  buffer that the reader looks at, none = -1               (reader)
    TAKEN    sequence number of the last frame that the reader took   (reader)

The writer writes only into a buffer that is neither the newest nor being read, so a
frame stays where it is while it is inspected: no copy. The reader names its buffer and
then looks again whether that is still the newest; else the writer may have missed the
name, and the reader starts over. As a second line of defence every buffer carries the
frame's sequence number before and after its pixels; a writer killed in mid-write
leaves them unequal and LATEST untouched. Each word has one writer and is eight aligned
bytes, which processors load and store as one; each hand-over also passes through the
kernel (an eventfd), which orders the memory on both sides.

Source:
    Triple buffering with a hazard pointer: M. Michael, "Hazard Pointers: Safe Memory
    Reclamation for Lock-Free Objects", IEEE TPDS 15(6), 2004; sequence numbers: the
    Linux kernel's seqlock.
"""

import mmap
import os
import select
from collections.abc import Callable
from enum import IntEnum
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np

from edge.frame import CameraFrame, Pixels, Stamp

BUFFERS = 3
FRAME_MAX_BYTES = 64 << 20  # 22 megapixels in colour
TEXT_MAX_BYTES = 255  # longest file name on Linux
TAKE_TRIES = 8  # the writer would have to publish between two lines, each time
NO_BUFFER = -1
INDEX_BITS = 2  # LATEST = sequence number << 2 | buffer


class HeaderField(IntEnum):
    """Eight-byte words at the start of the memory. Times: monotonic clock, ns."""

    LATEST = 0
    READING = 1
    TAKEN = 2
    GO = 3  # the reader is ready: frames may come                 (reader)
    DEADLINE_NS = 4  # by then the writer is back, else it hangs   (writer)
    READS = 5  # frame_id + 1 of what the writer is reading now    (writer)
    CONDITION = 6  # what the camera suffers from, a set           (writer)
    DAMAGED = 7  # frames that came damaged or not at all          (writer)


RECORD = np.dtype(
    [
        ("seq_before", np.int64),
        ("frame_id", np.int64),
        ("captured_ns", np.int64),
        ("captured_wall_ns", np.int64),
        ("height", np.int64),
        ("width", np.int64),
        ("has_part", np.int64),
        ("part_id", f"S{TEXT_MAX_BYTES + 1}"),
        ("fault", f"S{TEXT_MAX_BYTES + 1}"),
        ("seq_after", np.int64),
    ],
    align=True,
)
REASON_OFFSET, REASON_MAX_BYTES = 512, 1024
RECORDS_OFFSET = REASON_OFFSET + REASON_MAX_BYTES
HEADER_BYTES = 4096  # words, reason, records
MEMORY_BYTES = HEADER_BYTES + BUFFERS * FRAME_MAX_BYTES


def _attach(memory: Any, published: Any, taken: Any) -> "FrameBuffer":  # noqa: ANN401 (multiprocessing's own descriptors)
    """Return the slot on the other side of a process start."""
    return FrameBuffer(memory.detach(), published.detach(), taken.detach())


class FrameBuffer:
    """The shared memory and the two bells of one camera.

    It can be an argument of a ``multiprocessing`` process (start method spawn).

    Args:
        memory_fd: Anonymous file of ``MEMORY_BYTES``.
        published_fd: Eventfd that the writer rings.
        taken_fd: Eventfd that the reader rings.
    """

    def __init__(self, memory_fd: int, published_fd: int, taken_fd: int) -> None:
        self.memory_fd = memory_fd
        self.published_fd = published_fd
        self.taken_fd = taken_fd
        self._memory = mmap.mmap(memory_fd, MEMORY_BYTES)
        self.words = np.frombuffer(self._memory, np.int64, len(HeaderField))
        self.records = np.frombuffer(self._memory, RECORD, BUFFERS, RECORDS_OFFSET)
        self.pixels = np.frombuffer(
            self._memory, np.uint8, BUFFERS * FRAME_MAX_BYTES, HEADER_BYTES
        ).reshape(BUFFERS, FRAME_MAX_BYTES)

    @classmethod
    def create(cls) -> "FrameBuffer":
        """Return a new, empty slot."""
        memory_fd = os.memfd_create("graftline-camera", os.MFD_CLOEXEC)
        os.ftruncate(memory_fd, MEMORY_BYTES)
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK
        slot = cls(memory_fd, os.eventfd(0, flags), os.eventfd(0, flags))
        slot.words[HeaderField.READING] = NO_BUFFER
        return slot

    def __reduce__(self) -> tuple[Callable[..., "FrameBuffer"], tuple[Any, ...]]:
        """Send duplicates of the descriptors to a process that is being started."""
        ends = (self.memory_fd, self.published_fd, self.taken_fd)
        return _attach, tuple(DupFd(end) for end in ends)

    def close(self) -> None:
        """Give the descriptors back; the memory goes with its last view."""
        for end in (self.memory_fd, self.published_fd, self.taken_fd):
            os.close(end)

    def view(self, buffer: int, height: int, width: int) -> Pixels:
        """Return a buffer as a picture.

        Args:
            buffer: Which of the three.
            height: Height of the picture.
            width: Width of the picture.

        Returns:
            ``[height, width, 3]`` uint8, no copy.
        """
        size = height * width * 3
        return self.pixels[buffer, :size].reshape(height, width, 3)

    @property
    def reason(self) -> str:
        """Why the writer gave up; while it runs, what is not as it was wanted."""
        raw = self._memory[REASON_OFFSET:RECORDS_OFFSET]
        return raw.rstrip(b"\0").decode("utf-8", "replace")

    @reason.setter
    def reason(self, text: str) -> None:
        raw = _cut(text, REASON_MAX_BYTES).ljust(REASON_MAX_BYTES, b"\0")
        self._memory[REASON_OFFSET:RECORDS_OFFSET] = raw


class FrameBufferWriter:
    """The camera's side.

    Args:
        slot: The slot; nobody else writes.
    """

    def __init__(self, slot: FrameBuffer) -> None:
        self._slot = slot
        self._published = 0

    def publish(self, pixels: Pixels, stamp: Stamp) -> None:
        """Make a frame the newest one.

        Args:
            pixels: ``[H, W, 3]`` uint8 BGR; copied.
            stamp: Number, time and part.

        Raises:
            ValueError: It is not such a picture, or larger than the slot's room.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            msg = f"frame is {pixels.shape} {pixels.dtype}, expected [H, W, 3] uint8"
            raise ValueError(msg)
        if pixels.nbytes > FRAME_MAX_BYTES or pixels.size == 0:
            msg = f"frame has {pixels.nbytes} bytes, at most {FRAME_MAX_BYTES} fit"
            raise ValueError(msg)
        height, width = pixels.shape[:2]
        buffer = self._begin(stamp, height, width, fault="")
        np.copyto(self._slot.view(buffer, height, width), pixels)
        self._finish(buffer)

    def publish_fault(self, fault: str, stamp: Stamp) -> None:
        """Make a frame the newest one that could not be read.

        Args:
            fault: Why.
            stamp: Number, time and part.
        """
        self._finish(self._begin(stamp, 0, 0, fault))

    def wait_until_taken(self, timeout_s: float) -> bool:
        """Return whether the reader has the newest frame, waiting if it has not.

        Args:
            timeout_s: Longest wait.
        """
        words = self._slot.words
        if words[HeaderField.TAKEN] == self._published:
            return True
        select.select([self._slot.taken_fd], [], [], timeout_s)
        _silence(self._slot.taken_fd)
        return bool(words[HeaderField.TAKEN] == self._published)

    def _begin(self, stamp: Stamp, height: int, width: int, fault: str) -> int:
        """Open a free buffer: from here until the end it is torn."""
        words = self._slot.words
        used = {int(words[HeaderField.LATEST]) & ((1 << INDEX_BITS) - 1)}
        used.add(int(words[HeaderField.READING]))
        buffer = next(i for i in range(BUFFERS) if i not in used)
        record = self._slot.records[buffer]
        record["seq_before"] = self._published + 1
        record["frame_id"] = stamp.frame_id
        record["captured_ns"] = stamp.captured_ns
        record["captured_wall_ns"] = stamp.captured_wall_ns
        record["height"], record["width"] = height, width
        record["has_part"] = stamp.part_id is not None
        record["part_id"] = _cut(stamp.part_id or "")
        record["fault"] = _cut(fault)
        return buffer

    def _finish(self, buffer: int) -> None:
        """Close the buffer, make it the newest, and ring."""
        self._published += 1
        self._slot.records[buffer]["seq_after"] = self._published
        self._slot.words[HeaderField.LATEST] = self._published << INDEX_BITS | buffer
        os.eventfd_write(self._slot.published_fd, 1)


class FrameBufferReader:
    """The daemon's side.

    Args:
        slot: The slot; nobody else reads.
    """

    def __init__(self, slot: FrameBuffer) -> None:
        self._slot = slot
        self._taken = 0
        self._buffer = NO_BUFFER
        self.frames_taken = 0

    @property
    def frames_published(self) -> int:
        """Frames that the camera has put into the slot."""
        return int(self._slot.words[HeaderField.LATEST]) >> INDEX_BITS

    @property
    def has_frame(self) -> bool:
        """Whether there is a frame that was not taken."""
        return self.frames_published > self._taken

    def take(self) -> CameraFrame | None:
        """Return the newest frame, or nothing if it was taken before.

        The frame before it, if any, is released.
        """
        _silence(self._slot.published_fd)
        words = self._slot.words
        for _ in range(TAKE_TRIES):
            latest = int(words[HeaderField.LATEST])
            seq, buffer = latest >> INDEX_BITS, latest & ((1 << INDEX_BITS) - 1)
            if seq == self._taken:
                return None
            words[HeaderField.READING] = buffer
            if int(words[HeaderField.LATEST]) != latest:
                continue
            self._taken, self._buffer = seq, buffer
            frame = self._frame(buffer)
            words[HeaderField.TAKEN] = seq
            os.eventfd_write(self._slot.taken_fd, 1)
            if self.is_whole():
                self.frames_taken += 1
                return frame
        return None

    def is_whole(self) -> bool:
        """Return whether the frame last taken is still the one that was taken."""
        record = self._slot.records[self._buffer]
        return bool(record["seq_before"] == record["seq_after"] == self._taken)

    def release(self) -> None:
        """Give the frame's buffer back to the writer."""
        self._slot.words[HeaderField.READING] = self._buffer = NO_BUFFER

    def _frame(self, buffer: int) -> CameraFrame:
        """Return the frame in a buffer."""
        record = self._slot.records[buffer]
        height, width = int(record["height"]), int(record["width"])
        part = bytes(record["part_id"]).decode("utf-8", "replace")
        stamp = Stamp(
            int(record["frame_id"]),
            int(record["captured_ns"]),
            int(record["captured_wall_ns"]),
            part if record["has_part"] else None,
        )
        if not 0 < height * width * 3 <= FRAME_MAX_BYTES:
            fault = bytes(record["fault"]).decode("utf-8", "replace")
            return CameraFrame(None, stamp, fault)
        return CameraFrame(self._slot.view(buffer, height, width), stamp)


def _cut(text: str, max_bytes: int = TEXT_MAX_BYTES) -> bytes:
    """Return text as at most so many bytes of whole UTF-8 characters."""
    raw = text.encode("utf-8", "replace")[:max_bytes]
    return raw.decode("utf-8", "ignore").encode()


def _silence(bell_fd: int) -> None:
    """Take all rings of a bell."""
    try:
        os.eventfd_read(bell_fd)
    except BlockingIOError:  # it had not rung
        return
