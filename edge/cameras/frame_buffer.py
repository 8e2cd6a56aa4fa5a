"""Shared memory with the newest frame of one camera: lock-free, one writer, one reader.

The memory is an anonymous file (memfd) that both processes map: it has no name, so a
killed process leaves nothing behind. Each start of a camera's process gets a new one.
The pages of a buffer are allocated when they are written, so the space for the largest
frame takes no memory while frames are small.

Three buffers and three header fields::

    LATEST   sequence number and buffer of the newest complete frame  (writer)
    READING  buffer that the reader holds, -1 = no buffer             (reader)
    TAKEN    sequence number of the last frame that the reader took   (reader)

The writer writes only into a buffer that is neither the newest nor held by the reader,
so a frame stays in place while it is inspected: no copy. The reader writes READING and
then reads LATEST again; if it changed, the writer may have missed READING, and the
reader starts over. As a second line of defence every buffer carries the frame's
sequence number before and after its pixels; a writer killed in mid-write leaves them
unequal and LATEST unchanged. Each field has one writer and is eight aligned bytes,
which processors load and store as one; each hand-over also passes through the kernel
(an eventfd), which orders the memory on both sides.

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
from models.counted import counted

BUFFERS = 3
FRAME_MAX_BYTES = 64 << 20  # 22 megapixels in colour
TEXT_MAX_BYTES = 255  # longest file name on Linux
TAKE_TRIES = 8  # each fails only if the writer publishes between two lines
NO_BUFFER = -1
INDEX_BITS = 2  # LATEST = sequence number << 2 | buffer


class HeaderField(IntEnum):
    """Eight-byte fields at the start of the memory. Times: monotonic clock, ns."""

    LATEST = 0
    READING = 1
    TAKEN = 2
    ENABLED = 3  # 1 = the daemon accepts frames                        (reader)
    DEADLINE_NS = 4  # the process hangs if it is not extended by then  (writer)
    CURRENT_READ = 5  # frame_id + 1 of the frame being read            (writer)
    CONDITIONS = 6  # a set of health.condition.Condition               (writer)
    DAMAGED = 7  # number of frames that came damaged or not at all     (writer)
    BIT_DEPTH = 8  # of the package in force, 0 = it states none        (reader)
    DAMAGED_PERCENT = 9  # step of ``DamagedShare`` that is reached     (writer)
    HAS_FAILED = 10  # 1 = the reason is why the process ends           (writer)
    IDLE = 11  # 1 = the source is open, and has no picture now         (writer)
    OPEN = 12  # 1 = the source is open                                 (writer)


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
        ("picture", "S32"),
        ("seq_after", np.int64),
    ],
    align=True,
)
REASON_OFFSET, REASON_MAX_BYTES = 512, 1024
RECORDS_OFFSET = REASON_OFFSET + REASON_MAX_BYTES
HEADER_BYTES = 4096  # header fields, reason, records
MEMORY_BYTES = HEADER_BYTES + BUFFERS * FRAME_MAX_BYTES


def _attach(memory: Any, published: Any, taken: Any) -> "FrameBuffer":  # noqa: ANN401 (multiprocessing's own descriptors)
    """Return the frame buffer in the process that was started with it."""
    return FrameBuffer(memory.detach(), published.detach(), taken.detach())


class FrameBuffer:
    """The shared memory and the two wake-up events of one camera.

    It can be an argument of a ``multiprocessing`` process (start method spawn).

    Args:
        memory_fd: Anonymous file of ``MEMORY_BYTES``.
        published_fd: Eventfd that the writer sets after each frame.
        taken_fd: Eventfd that the reader sets after each frame that it took.
    """

    def __init__(self, memory_fd: int, published_fd: int, taken_fd: int) -> None:
        self.memory_fd = memory_fd
        self.published_fd = published_fd
        self.taken_fd = taken_fd
        self._memory = mmap.mmap(memory_fd, MEMORY_BYTES)
        self.header = np.frombuffer(self._memory, np.int64, len(HeaderField))
        self.records = np.frombuffer(self._memory, RECORD, BUFFERS, RECORDS_OFFSET)
        self.pixels = np.frombuffer(
            self._memory, np.uint8, BUFFERS * FRAME_MAX_BYTES, HEADER_BYTES
        ).reshape(BUFFERS, FRAME_MAX_BYTES)

    @classmethod
    def create(cls) -> "FrameBuffer":
        """Return a new, empty frame buffer."""
        memory_fd = os.memfd_create("graftline-camera", os.MFD_CLOEXEC)
        os.ftruncate(memory_fd, MEMORY_BYTES)
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK
        buffer = cls(memory_fd, os.eventfd(0, flags), os.eventfd(0, flags))
        buffer.header[HeaderField.READING] = NO_BUFFER
        return buffer

    def __reduce__(self) -> tuple[Callable[..., "FrameBuffer"], tuple[Any, ...]]:
        """Send duplicates of the descriptors to a process that is being started."""
        fds = (self.memory_fd, self.published_fd, self.taken_fd)
        return _attach, tuple(DupFd(fd) for fd in fds)

    def close(self) -> None:
        """Close the descriptors; the memory is freed with its last view."""
        for fd in (self.memory_fd, self.published_fd, self.taken_fd):
            os.close(fd)

    def view(self, buffer: int, height: int, width: int) -> Pixels:
        """Return one of the three buffers as a picture, without a copy."""
        size = height * width * 3
        return self.pixels[buffer, :size].reshape(height, width, 3)

    @property
    def reason(self) -> str:
        """Why the process ended; while it runs, its warnings."""
        raw = self._memory[REASON_OFFSET:RECORDS_OFFSET]
        return raw.rstrip(b"\0").decode("utf-8", "replace")

    @reason.setter
    def reason(self, text: str) -> None:
        raw = _truncated(text, REASON_MAX_BYTES).ljust(REASON_MAX_BYTES, b"\0")
        self._memory[REASON_OFFSET:RECORDS_OFFSET] = raw


class FrameBufferWriter:
    """The camera's side; there is only one writer."""

    def __init__(self, frame_buffer: FrameBuffer) -> None:
        self._frame_buffer = frame_buffer
        self._published = 0

    def publish(self, pixels: Pixels, stamp: Stamp) -> None:
        """Make a frame the newest one.

        Args:
            pixels: ``[H, W, 3]`` uint8 BGR; copied.

        Raises:
            ValueError: The array has another shape or type, or is too large.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            msg = f"frame is {pixels.shape} {pixels.dtype}, expected [H, W, 3] uint8"
            raise ValueError(msg)
        if pixels.nbytes > FRAME_MAX_BYTES or pixels.size == 0:
            msg = (
                f"frame has {counted(pixels.nbytes, 'byte')}, at most "
                f"{FRAME_MAX_BYTES} fit"
            )
            raise ValueError(msg)
        height, width = pixels.shape[:2]
        buffer = self._begin(stamp, height, width, fault="")
        np.copyto(self._frame_buffer.view(buffer, height, width), pixels)
        self._finish(buffer)

    def publish_fault(self, fault: str, stamp: Stamp) -> None:
        """Make an unreadable frame the newest one."""
        self._finish(self._begin(stamp, 0, 0, fault))

    def wait_until_taken(self, timeout_s: float) -> bool:
        """Wait until the reader has taken the newest frame; return whether it has."""
        header = self._frame_buffer.header
        if header[HeaderField.TAKEN] == self._published:
            return True
        select.select([self._frame_buffer.taken_fd], [], [], timeout_s)
        _clear(self._frame_buffer.taken_fd)
        return bool(header[HeaderField.TAKEN] == self._published)

    def _begin(self, stamp: Stamp, height: int, width: int, fault: str) -> int:
        """Start to write a free buffer: it is torn until ``_finish``."""
        header = self._frame_buffer.header
        used = {int(header[HeaderField.LATEST]) & ((1 << INDEX_BITS) - 1)}
        used.add(int(header[HeaderField.READING]))
        buffer = next(i for i in range(BUFFERS) if i not in used)
        record = self._frame_buffer.records[buffer]
        record["seq_before"] = self._published + 1
        record["frame_id"] = stamp.frame_id
        record["captured_ns"] = stamp.captured_ns
        record["captured_wall_ns"] = stamp.captured_wall_ns
        record["height"], record["width"] = height, width
        record["has_part"] = stamp.part_id is not None
        record["part_id"] = _truncated(stamp.part_id or "")
        record["fault"] = _truncated(fault)
        record["picture"] = stamp.picture.encode()
        return buffer

    def _finish(self, buffer: int) -> None:
        """Complete the buffer, make it the newest, and wake the reader."""
        self._published += 1
        self._frame_buffer.records[buffer]["seq_after"] = self._published
        latest = self._published << INDEX_BITS | buffer
        self._frame_buffer.header[HeaderField.LATEST] = latest
        os.eventfd_write(self._frame_buffer.published_fd, 1)


class FrameBufferReader:
    """The daemon's side; there is only one reader."""

    def __init__(self, frame_buffer: FrameBuffer) -> None:
        self._frame_buffer = frame_buffer
        self._taken = 0
        self._buffer = NO_BUFFER
        self.frames_taken = 0

    @property
    def frames_published(self) -> int:
        """Number of frames that the writer has published."""
        return int(self._frame_buffer.header[HeaderField.LATEST]) >> INDEX_BITS

    @property
    def has_frame(self) -> bool:
        """Whether there is a frame that was not taken."""
        return self.frames_published > self._taken

    def take_frame(self) -> CameraFrame | None:
        """Return the newest frame, or None if it was taken before.

        The previous frame, if any, is released.
        """
        _clear(self._frame_buffer.published_fd)
        header = self._frame_buffer.header
        for _ in range(TAKE_TRIES):
            latest = int(header[HeaderField.LATEST])
            seq, buffer = latest >> INDEX_BITS, latest & ((1 << INDEX_BITS) - 1)
            if seq == self._taken:
                return None
            header[HeaderField.READING] = buffer
            if int(header[HeaderField.LATEST]) != latest:
                continue  # the writer may have missed READING
            self._taken, self._buffer = seq, buffer
            frame = self._frame(buffer)
            header[HeaderField.TAKEN] = seq
            os.eventfd_write(self._frame_buffer.taken_fd, 1)
            if self.is_whole():
                self.frames_taken += 1
                return frame
        return None

    def is_whole(self) -> bool:
        """Return whether the frame last taken has not been overwritten."""
        record = self._frame_buffer.records[self._buffer]
        return bool(record["seq_before"] == record["seq_after"] == self._taken)

    def release(self) -> None:
        """Let the writer use the frame's buffer again."""
        self._frame_buffer.header[HeaderField.READING] = self._buffer = NO_BUFFER

    def _frame(self, buffer: int) -> CameraFrame:
        record = self._frame_buffer.records[buffer]
        height, width = int(record["height"]), int(record["width"])
        part = bytes(record["part_id"]).decode("utf-8", "replace")
        stamp = Stamp(
            int(record["frame_id"]),
            int(record["captured_ns"]),
            int(record["captured_wall_ns"]),
            part if record["has_part"] else None,
            bytes(record["picture"]).decode(),
        )
        if not 0 < height * width * 3 <= FRAME_MAX_BYTES:
            fault = bytes(record["fault"]).decode("utf-8", "replace")
            return CameraFrame(None, stamp, fault)
        return CameraFrame(self._frame_buffer.view(buffer, height, width), stamp)


def _truncated(text: str, max_bytes: int = TEXT_MAX_BYTES) -> bytes:
    """Return text as at most so many bytes of complete UTF-8 characters."""
    raw = text.encode("utf-8", "replace")[:max_bytes]
    return raw.decode("utf-8", "ignore").encode()


def _clear(event_fd: int) -> None:
    try:
        os.eventfd_read(event_fd)
    except BlockingIOError:  # it was not set
        return
