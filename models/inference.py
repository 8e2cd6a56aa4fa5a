"""Runs of a graph that overlap: several requests on one compiled model.

A request has its own input, which the caller writes a picture into, and gives its
answer later: meanwhile the next picture is prepared and the last answer is decided.
A runtime that knows only one run at a time answers before ``start`` returns.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from models.boxes import FloatArray
from models.detector import Detector
from models.errors import PackageError
from models.preprocess import Frame


class Inference(Protocol):
    """One request. Used by one thread; idle at first."""

    @property
    def image(self) -> Frame:
        """``[H, W, 3]`` uint8 BGR: the input, to be written while the request is idle.

        It keeps what was written last.
        """

    @property
    def is_idle(self) -> bool:
        """Whether it can be started: nothing runs, no answer waits to be taken."""

    @property
    def is_done(self) -> bool:
        """Whether there is an answer to take."""

    def start(self, when_done: Callable[[], None]) -> None:
        """Run the graph on ``image``.

        Args:
            when_done: Called once there is an answer, perhaps in another thread and
                perhaps before ``start`` returns. Must not raise or wait.
        """

    def take(self) -> FloatArray:
        """Return the answer, waiting for it; the request is idle then.

        Returns:
            ``[4 + C, A]`` float32, as ``models.detector.Detector.infer``; the caller
            may keep it.

        Raises:
            PackageError: The runtime failed.
        """


@runtime_checkable
class ParallelDetector(Protocol):
    """A detector whose runtime works on several pictures at the same time."""

    def open_request(self) -> Inference:
        """Return one more request on the same compiled model."""


class DirectInference:
    """A request of a runtime that knows only one run at a time.

    Args:
        detector: Runs in the caller's thread.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._answer: FloatArray | PackageError | None = None
        self.image: Frame = np.zeros((*detector.input_size_px, 3), np.uint8)

    @property
    def is_idle(self) -> bool:
        """See ``Inference.is_idle``."""
        return self._answer is None

    @property
    def is_done(self) -> bool:
        """See ``Inference.is_done``."""
        return self._answer is not None

    def start(self, when_done: Callable[[], None]) -> None:
        """Run the graph; see ``Inference.start``."""
        try:
            self._answer = self._detector.infer(self.image)
        except PackageError as error:
            self._answer = error  # told where the answer is taken
        when_done()

    def take(self) -> FloatArray:
        """Return the answer; see ``Inference.take``."""
        answer, self._answer = self._answer, None
        if isinstance(answer, PackageError):
            raise answer
        if answer is None:
            raise RuntimeError("an answer was taken from a request that has none")
        return answer


def open_requests(detector: Detector, count: int) -> tuple[Inference, ...]:
    """Return requests on one graph.

    Args:
        detector: The graph.
        count: How many pictures may be on their way, at least 1.

    Returns:
        So many requests; one where the runtime knows only one run at a time.
    """
    if isinstance(detector, ParallelDetector):
        return tuple(detector.open_request() for _ in range(count))
    return (DirectInference(detector),)
