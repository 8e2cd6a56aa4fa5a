"""Frames in flight through the model: their queue, their buffers, and the wake-up.

A frame is copied out of the camera's buffer while its inference runs: from then on the
camera may use its buffer again. The copies come from a pool, because new memory costs
page faults; only a frame that shows a defect keeps its copy, for the evidence.
"""

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge.frame import CameraFrame, Pixels, ScoreMap
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.model import LoadedModel
from models.boxes import FloatArray
from models.detections import Detections
from models.errors import PackageError
from models.inference import Inference
from models.preprocess import Letterbox

POOL_BUFFERS = 8  # line PCs never have as many frames in flight


@dataclass(slots=True)
class InFlightFrame:
    """One frame between the camera and its decision."""

    channel: CameraChannel
    # with its own copy of the pixels; without pixels it needs no inference
    frame: CameraFrame
    # the model that inspects it, even if it is replaced meanwhile
    model: LoadedModel
    # how it was put into the model's input; None = not submitted
    letterbox: Letterbox | None = None
    request: Inference | None = None  # the running inference; None once it is completed
    # output of the graph, [4 + C, A]; None = no output
    output: FloatArray | None = None
    fault: PackageError | None = None  # why the graph gave no output
    is_captured: bool = True  # the camera delivered the frame; false = a missed part
    is_dropped: bool = False  # it is not decided; true = it was overwritten
    started_ns: int = 0  # monotonic clock at the start of the inference
    completed_ns: int = 0  # monotonic clock when its output was collected

    def collect(self) -> None:
        """Read the output if the inference is done, and release the request."""
        if self.request is None or not self.request.is_done:
            return
        try:
            self.output = self.request.result()
        except PackageError as error:  # reported where the frame is decided
            self.fault = error
        self.request, self.completed_ns = None, time.monotonic_ns()

    def decode(self, score_thresholds: FloatArray) -> Detections:
        """Return the detections of the frame, with ``boxes_frame``.

        Args:
            score_thresholds: ``[C]`` float32.

        Raises:
            PackageError: The model gave no output, or one that is not finite.
        """
        if self.output is None or self.letterbox is None:
            raise self.fault or PackageError("A frame was decided without an answer.")
        return self.model.decode(self.output, self.letterbox, score_thresholds)

    def heat_map(self, reported: Detections) -> ScoreMap | None:
        """Return the scores of ``unknown``, where a reported defect is of that class.

        Args:
            reported: The defects of the frame.
        """
        is_wanted = self.model.unknown in reported.labels
        if not is_wanted or self.output is None or self.letterbox is None:
            return None
        return self.model.heat_map(self.output, self.letterbox)


class InFlightQueue:
    """The frames in flight of all cameras, each camera's in the order of capture."""

    def __init__(self) -> None:
        # By identity of the channel: a reload replaces a channel under the same name.
        self._queues: dict[int, deque[InFlightFrame]] = {}

    def append(self, in_flight: InFlightFrame) -> None:
        """Add a frame behind those of its camera."""
        queue = self._queues.setdefault(id(in_flight.channel), deque())
        queue.append(in_flight)

    def collect(self) -> None:
        """Collect the output of every inference that is done, in any order."""
        for queue in self._queues.values():
            for in_flight in queue:
                in_flight.collect()

    def pop_completed(self) -> Iterator[InFlightFrame]:
        """Remove and yield completed frames, each camera's in the order of capture.

        A completed frame waits for those of its camera that were captured before it.
        """
        for queue in self._queues.values():
            while queue and queue[0].request is None:
                yield queue.popleft()

    def count(self, channel: CameraChannel) -> int:
        """Return how many frames of a camera are in flight."""
        return len(self._queues.get(id(channel), ()))

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))


class FrameBufferPool:
    """Buffers for copies of frames, used again."""

    def __init__(self) -> None:
        # Beyond the limit the oldest is dropped: cameras may change their frame size.
        self._free: deque[Pixels] = deque(maxlen=POOL_BUFFERS)

    def acquire_copy(self, pixels: Pixels) -> Pixels:
        """Return a copy of a frame.

        Args:
            pixels: ``[H, W, 3]`` uint8, in the camera's buffer.
        """
        for index, buffer in enumerate(self._free):
            if buffer.shape == pixels.shape:
                del self._free[index]
                np.copyto(buffer, pixels)
                return buffer
        return pixels.copy()

    def release(self, pixels: Pixels | None) -> None:
        """Return a buffer to the pool; the caller must not use it again.

        None is ignored.
        """
        if pixels is not None:
            self._free.append(pixels)


class WakeupEvent:
    """A descriptor that is readable when an inference is done.

    Threads of the runtime set it.
    """

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def set(self) -> None:
        """Make the descriptor readable."""
        os.eventfd_write(self.fd, 1)

    def clear(self) -> None:
        """Make the descriptor unreadable, even if it was set several times."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:  # it was not set
            return
