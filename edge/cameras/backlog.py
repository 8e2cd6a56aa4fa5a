"""Queue for a live camera that hardware triggers: no frame is lost.

A camera must be read without a pause, else its driver drops frames without counting
them. So a thread publishes the frames while the next one is awaited: each one when the
daemon has taken the previous one. While the daemon is busy a few pictures wait; of
those beyond, only number and time are kept, and they are published as unreadable
frames: each is a part all the same, and gets its verdict.
"""

import threading
import time
from collections import deque
from typing import Self

from edge.cameras.frame_publisher import WAIT_SLICE_S, CapturePlan, FramePublisher
from edge.frame import Pixels, Stamp

PICTURES_MAX = 4  # waiting; 25 MB in full HD
STAMPS_MAX = 10_000  # frames beyond are only a gap in the frame numbers
CLOSE_LIMIT_S = 5.0
TOO_BUSY = f"{PICTURES_MAX} parts were waiting already: the daemon was busy"


class Backlog:
    """Frames between a camera and the frame buffer.

    Args:
        plan: Without ``keeps_every_frame`` a frame is published at once.
    """

    def __init__(self, plan: CapturePlan, frame_publisher: FramePublisher) -> None:
        self._publisher, self._is_used = frame_publisher, plan.keeps_every_frame
        self._queue: deque[tuple[Pixels | None, Stamp]] = deque()
        self._fault: ValueError | None = None
        self._wakeup = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backlog", daemon=True)

    def publish(self, pixels: Pixels, stamp: Stamp) -> None:
        """Enqueue a frame; returns at once.

        Args:
            pixels: ``[H, W, 3]`` uint8 BGR; must not be written to later.

        Raises:
            ValueError: This picture, or an earlier one, does not fit the buffer.
        """
        if not self._is_used:
            self._publisher.publish(pixels, stamp)
            return
        if self._fault is not None:
            raise self._fault
        if len(self._queue) < STAMPS_MAX:
            is_full = len(self._queue) >= PICTURES_MAX
            self._queue.append((None if is_full else pixels, stamp))
            self._wakeup.set()

    def _run(self) -> None:
        while not self._stop.is_set() or self._queue:
            if not self._queue:
                self._wakeup.wait(WAIT_SLICE_S)
                self._wakeup.clear()
            elif self._publisher.is_taken(WAIT_SLICE_S):
                try:
                    self._publish_queued(*self._queue.popleft())
                except ValueError as fault:  # raised by the next ``publish``
                    self._fault = fault
                    return

    def _publish_queued(self, pixels: Pixels | None, stamp: Stamp) -> None:
        if pixels is None:
            self._publisher.publish_fault(TOO_BUSY, stamp)
        else:
            self._publisher.publish(pixels, stamp)

    def __enter__(self) -> Self:
        if self._is_used:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Publish what is left, and wait until the daemon has taken the last frame."""
        self._stop.set()
        deadline_s = time.monotonic() + CLOSE_LIMIT_S
        while self._is_used and time.monotonic() < deadline_s:
            self._publisher.extend_deadline(WAIT_SLICE_S * 2000)  # join and is_taken
            self._thread.join(WAIT_SLICE_S)
            if not self._thread.is_alive() and self._publisher.is_taken(WAIT_SLICE_S):
                return
