"""Frames on their way through the model, and the bell that says one has landed.

A frame is copied out of the camera's slot when it takes off: from then on the camera
may use the slot again, whatever becomes of the frame. The copies are used again and
again, because new memory costs page faults; only a frame that shows a defect gives its
copy away.
"""

import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edge.frame import CameraFrame, Pixels
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.model import LoadedModel
from models.boxes import FloatArray
from models.detections import Detections
from models.errors import PackageError
from models.inference import Inference
from models.preprocess import Letterbox

SPARE_COPIES = 8  # more than ever fly at once on the processors of line PCs


@dataclass(slots=True)
class InFlightFrame:
    """One frame between the camera and its decision.

    Attributes:
        lane: Its camera.
        frame: With its own copy of the pixels; without any it needs no inference.
        model: The model that looks at it.
        box: How it was put into the model's input.
        request: Where it is; none once it has landed.
        output: What the graph said, ``[4 + C, A]``.
        fault: Why the graph said nothing.
        started_ns: Monotonic clock, when the graph began to look at it.
        landed_ns: Monotonic clock, when its answer was taken.
        was_seen: The camera gave the frame; else it is a part that was missed.
    """

    lane: CameraChannel
    frame: CameraFrame
    model: LoadedModel
    box: Letterbox | None = None
    request: Inference | None = None
    output: FloatArray | None = None
    fault: PackageError | None = None
    was_seen: bool = True
    started_ns: int = 0
    landed_ns: int = 0

    def land(self) -> None:
        """Take the answer if there is one, so that the request is free again."""
        if self.request is None or not self.request.is_done:
            return
        try:
            self.output = self.request.take()
        except PackageError as error:  # told where the frame is decided
            self.fault = error
        self.request, self.landed_ns = None, time.monotonic_ns()

    def found(self) -> Detections:
        """Return what the model found, with ``boxes_frame``.

        Raises:
            PackageError: The model gave no answer, or none that means something.
        """
        if self.output is None or self.box is None:
            raise self.fault or PackageError("A frame was decided without an answer.")
        thresholds = self.lane.thresholds(self.model)
        return self.model.decode(self.output, self.box, thresholds)


class InFlightQueues:
    """The flights of every camera, each camera's in the order of its frames."""

    def __init__(self) -> None:
        self._flights: dict[int, deque[InFlightFrame]] = {}  # by identity of the lane

    def add(self, flight: InFlightFrame) -> None:
        """Put a flight behind those of its camera.

        Args:
            flight: New.
        """
        self._flights.setdefault(id(flight.lane), deque()).append(flight)

    def land(self) -> None:
        """Let every flight land whose answer is there."""
        for queue in self._flights.values():
            for flight in queue:
                flight.land()

    def landed(self) -> Iterable[InFlightFrame]:
        """Yield and forget flights that have landed behind no other of the camera."""
        for queue in self._flights.values():
            while queue and queue[0].request is None:
                yield queue.popleft()

    def of(self, lane: CameraChannel) -> int:
        """Return how many frames of a camera are on their way.

        Args:
            lane: The camera.
        """
        return len(self._flights.get(id(lane), ()))

    def __len__(self) -> int:
        """Return how many frames are on their way."""
        return sum(map(len, self._flights.values()))


class FrameBufferPool:
    """Memory for copies of frames, used again."""

    def __init__(self) -> None:
        self._spare: deque[Pixels] = deque(maxlen=SPARE_COPIES)

    def copy(self, pixels: Pixels) -> Pixels:
        """Return a copy.

        Args:
            pixels: ``[H, W, 3]`` uint8, in the camera's slot.
        """
        for index, memory in enumerate(self._spare):
            if memory.shape == pixels.shape:
                del self._spare[index]
                np.copyto(memory, pixels)
                return memory
        return pixels.copy()

    def give_back(self, pixels: Pixels | None) -> None:
        """Take memory back that nobody looks at any more.

        Args:
            pixels: From ``copy``.
        """
        if pixels is not None:
            self._spare.append(pixels)  # of too many the oldest goes


class WakeupEvent:
    """Becomes readable when an answer has come; rung by threads of the runtime."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def ring(self) -> None:
        """Say that there is an answer."""
        os.eventfd_write(self.fd, 1)

    def silence(self) -> None:
        """Take all rings."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:  # it had not rung
            return
