"""Runs the other model of a trial on frames of the line, in spare time.

A thread inspects copies of some frames, at most every second one and never two at the
same time. It rests as long as it worked, and when frames are dropped it takes fewer of
them: a frame of the line is never left out for a comparison.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.frame import Pixels
from edge.inspection.model import LoadedModel
from edge.rules.regions import Region, RegionMap
from models.errors import PackageError
from models.inference import Inference, open_requests
from models.preprocess import letterbox_into

logger = logging.getLogger(__name__)

EVERY_MIN, EVERY_MAX = 2, 16  # of the frames, one is compared
CALM_FRAMES = 20  # compared without a drop before more are compared
POLL_S = 0.2
STOP_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """What the other model gave for one frame.

    Attributes:
        finds_defects: Whether it finds a defect that the camera's regions keep.
        latency_ns: Time in the model.
    """

    finds_defects: bool
    latency_ns: int


@dataclass(frozen=True, slots=True)
class ShadowJob:
    """One frame that both models inspect.

    Attributes:
        camera: Its name.
        pixels: ``[H, W, 3]`` uint8 BGR, the thread's own copy.
        model: Inspects it.
        regions: The regions of that camera.
        has_defects: Whether the model that decides found any.
    """

    camera: str
    pixels: Pixels
    model: LoadedModel
    regions: tuple[Region, ...]
    has_defects: bool


class ShadowPace:
    """Decides which frames are compared. Pure: no clock."""

    def __init__(self) -> None:
        self.every = EVERY_MIN
        self._waited = self._calm = 0
        self._dropped = -1  # -1 = not known yet

    def is_due(self, dropped: int) -> bool:
        """Count a frame; return whether it may be compared.

        Args:
            dropped: Frames that the cameras have dropped so far.
        """
        if self._dropped >= 0 and dropped > self._dropped:
            self.every, self._calm = min(EVERY_MAX, 2 * self.every), 0
        self._dropped = dropped
        self._waited += 1
        return self._waited >= self.every

    def take(self) -> None:
        """Note that the frame is compared."""
        self._waited = 0
        self._calm += 1
        if self._calm >= CALM_FRAMES:
            self.every, self._calm = max(EVERY_MIN, self.every // 2), 0


class Shadow:
    """The thread.

    Args:
        on_result: Called in the thread with each job and its result.
        on_fault: Called in the thread when a model fails.
    """

    def __init__(
        self,
        on_result: Callable[[ShadowJob, ShadowResult], None],
        on_fault: Callable[[LoadedModel, Exception], None],
    ) -> None:
        self._on_result, self._on_fault = on_result, on_fault
        self._jobs: queue.Queue[ShadowJob] = queue.Queue(1)
        self._requests: dict[int, Inference] = {}  # by identity of the model
        self._is_busy = False
        self._started_ns = self._ended_ns = 0  # of the last run
        self._buffer: Pixels | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end; it is not waited for, the next frame comes first."""
        self._stop.set()

    def close(self) -> None:
        """Wait until the thread has ended; one that hangs in a model is left alone."""
        self.stop()
        self._thread.join(STOP_LIMIT_S)

    def is_free(self, now_ns: int) -> bool:
        """Return whether it may start now; it rests as long as it worked."""
        if self._is_busy:
            return False
        return now_ns - self._ended_ns >= self._ended_ns - self._started_ns

    def worked_since(self, then_ns: int) -> bool:
        """Return whether it worked after a time of the monotonic clock."""
        return self._is_busy or self._ended_ns > then_ns

    def copy_of(self, pixels: Pixels) -> Pixels:
        """Return a copy of a frame; it is valid until the next call."""
        if self._buffer is None or self._buffer.shape != pixels.shape:
            self._buffer = pixels.copy()
        else:
            np.copyto(self._buffer, pixels)
        return self._buffer

    def submit(self, job: ShadowJob) -> None:
        """Start on a frame; only while the thread is free."""
        self._is_busy = True
        self._started_ns = time.monotonic_ns()
        self._jobs.put_nowait(job)

    def _run(self) -> None:
        self._work()
        # Without these the models stay in memory until a search for cycles.
        self._requests.clear()
        self._on_result, self._on_fault = _forget, _forget

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                job = self._jobs.get(timeout=POLL_S)
            except queue.Empty:
                continue
            try:
                self._on_result(job, self._inspect(job))
            # The top of the thread: the model is on trial, so any fault is its own.
            except Exception as error:
                if not isinstance(error, PackageError):
                    logger.exception("shadow_failed")
                self._on_fault(job.model, error)
            self._ended_ns = time.monotonic_ns()
            self._is_busy = False

    def _inspect(self, job: ShadowJob) -> ShadowResult:
        model = job.model
        request = self._requests.get(id(model))
        if request is None:
            (request,) = open_requests(model.detector, 1)
            self._requests[id(model)] = request
        regions = RegionMap(job.regions, model.labels, model.decision_rule)
        letterbox = letterbox_into(request.image, job.pixels)
        started_ns = time.monotonic_ns()
        request.start(_ignore)
        output = request.result()
        latency_ns = time.monotonic_ns() - started_ns
        found = model.decode(output, letterbox, regions.lowest_thresholds)
        height_px, width_px = job.pixels.shape[:2]
        kept = regions.filter(found, width_px, height_px)
        return ShadowResult(len(kept) > 0, latency_ns)


def _forget(*_: object) -> None:
    """Take the place of the callbacks of a trial that has ended."""


def _ignore() -> None:
    """Ignore that a run has ended: the thread waits for the result anyway."""
