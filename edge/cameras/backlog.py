"""Every frame of a live camera that hardware triggers, none dropped.

A camera must be read without a pause, else its driver drops frames that nobody counts.
So a thread hands the frames over while the next is awaited: each one when the daemon
has taken the one before. While the daemon is busy a few pictures wait; of those beyond,
only number and time are kept, and they are handed over as frames that could not be
kept: each is a part all the same, and gets its verdict.
"""

import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from edge.cameras.frame_publisher import SLICE_S, CapturePlan, FramePublisher
from edge.frame import Pixels, Stamp

PICTURES_MAX = 4  # waiting; 25 MB in full HD
STAMPS_MAX = 10_000  # beyond, the gap in the numbers tells of them
LEAVE_LIMIT_S = 5.0
TOO_BUSY = f"{PICTURES_MAX} parts were waiting already: the daemon was busy"


class Backlog:
    """Frames between a camera and the slot.

    Args:
        plan: Whether every frame counts; else a frame goes to the slot at once.
        feed: Way to the daemon.
    """

    def __init__(self, plan: CapturePlan, feed: FramePublisher) -> None:
        self._feed, self._keeps = feed, plan.keeps_every_frame
        self._waiting: deque[tuple[Pixels | None, Stamp]] = deque()
        self._fault: ValueError | None = None
        self._bell = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backlog", daemon=True)

    def publish(self, pixels: Pixels, stamp: Stamp) -> None:
        """Take a frame over; returns at once.

        Args:
            pixels: ``[H, W, 3]`` uint8 BGR; not written to later.
            stamp: Number and time.

        Raises:
            ValueError: A picture does not fit the slot.
        """
        if not self._keeps:
            self._feed.publish(pixels, stamp)
            return
        if self._fault is not None:
            raise self._fault
        if len(self._waiting) < STAMPS_MAX:
            is_full = len(self._waiting) >= PICTURES_MAX
            self._waiting.append((None if is_full else pixels, stamp))
            self._bell.set()

    def _run(self) -> None:
        """Hand over, one after the other."""
        while not self._stop.is_set() or self._waiting:
            if not self._waiting:
                self._bell.wait(SLICE_S)
                self._bell.clear()
            elif self._feed.is_taken(SLICE_S):
                try:
                    self._hand_over(*self._waiting.popleft())
                except ValueError as fault:  # told by the next ``publish``
                    self._fault = fault
                    return

    def _hand_over(self, pixels: Pixels | None, stamp: Stamp) -> None:
        if pixels is None:
            self._feed.publish_fault(TOO_BUSY, stamp)
        else:
            self._feed.publish(pixels, stamp)

    def __enter__(self) -> Self:
        if self._keeps:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hand over what is left, the last one up to the daemon's hand."""
        self._stop.set()
        deadline_s = time.monotonic() + LEAVE_LIMIT_S
        while self._keeps and time.monotonic() < deadline_s:
            self._feed.back_within(SLICE_S * 2000)
            self._thread.join(SLICE_S)
            if not self._thread.is_alive() and self._feed.is_taken(SLICE_S):
                return
