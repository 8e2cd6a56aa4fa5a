"""Asynchronous inference: several requests on one compiled model.

Each request has its own input buffer, which the caller writes a picture into, and
returns its result later: meanwhile the next picture is preprocessed and the last result
is evaluated. With a runtime that runs one picture at a time, the result is available
before ``start`` returns.
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
        """``[H, W, 3]`` uint8 BGR: the input buffer, written while the request is idle.

        It keeps its content from run to run.
        """

    @property
    def is_idle(self) -> bool:
        """Whether it can be started: it does not run, and its result was read."""

    @property
    def is_done(self) -> bool:
        """Whether its result, or its error, is available."""

    def start(self, when_done: Callable[[], None]) -> None:
        """Run the graph on ``image``.

        Args:
            when_done: Called when the result is available, possibly in another thread
                and possibly before ``start`` returns. Must not raise or wait.
        """

    def result(self) -> FloatArray:
        """Wait for the result and return it; the request is idle then.

        Returns:
            ``[4 + C, A]`` float32, as ``models.detector.Detector.infer``; the caller
            owns the array.

        Raises:
            PackageError: The runtime failed.
        """


@runtime_checkable
class ParallelDetector(Protocol):
    """A detector whose runtime runs several pictures at the same time."""

    def open_request(self) -> Inference:
        """Return one more request on the same compiled model."""


class DirectInference:
    """A request of a runtime that runs one picture at a time, in ``start``."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._outcome: FloatArray | PackageError | None = None
        self.image: Frame = np.zeros((*detector.input_size_px, 3), np.uint8)

    @property
    def is_idle(self) -> bool:
        """See ``Inference.is_idle``."""
        return self._outcome is None

    @property
    def is_done(self) -> bool:
        """See ``Inference.is_done``."""
        return self._outcome is not None

    def start(self, when_done: Callable[[], None]) -> None:
        """Run the graph; see ``Inference.start``."""
        try:
            self._outcome = self._detector.infer(self.image)
        except PackageError as error:
            self._outcome = error  # raised by ``result``
        when_done()

    def result(self) -> FloatArray:
        """Return the result; see ``Inference.result``."""
        outcome, self._outcome = self._outcome, None
        if isinstance(outcome, PackageError):
            raise outcome
        if outcome is None:
            raise RuntimeError("the request was not started")
        return outcome


def open_requests(detector: Detector, count: int) -> tuple[Inference, ...]:
    """Return requests on one graph.

    Args:
        count: Pictures that may be in flight, at least 1.

    Returns:
        ``count`` requests; one if the runtime runs one picture at a time.
    """
    if isinstance(detector, ParallelDetector):
        return tuple(detector.open_request() for _ in range(count))
    return (DirectInference(detector),)
