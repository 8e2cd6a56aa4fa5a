"""Measures how many inference streams to use on this machine.

With one stream all cores work on one picture; with several, each stream has its own
cores, and no core waits for another one within a picture. The throughput is higher, and
so is the latency of each picture. Unnecessary streams only increase latency and memory,
so the smallest number is chosen that is nearly as fast as the best.
"""

import logging
import os
import time

from models.backends import open_detector
from models.inference import Inference, open_requests
from models.package import Package
from models.slot_files import RunMode

logger = logging.getLogger(__name__)

STREAMS_MAX = 8  # line PCs have few cores, and each stream takes memory
MEASURED_S = 0.6
LEAST_GAIN = 1.05  # of the throughput: more than the noise of the measurement


def measure_streams(package: Package, mode: RunMode) -> RunMode:
    """Return a run mode with the number of streams to use on this machine.

    Args:
        mode: A run mode that reproduced the golden frames.

    Raises:
        PackageError: The runtime failed.
    """
    best = mode
    for streams in _candidates(len(os.sched_getaffinity(0))):
        fps = _throughput_fps(package, mode, streams)
        logger.info("streams_measured streams=%d fps=%.1f", streams, fps)
        if fps > best.throughput_fps * LEAST_GAIN:
            update = {"streams": streams, "throughput_fps": round(fps, 2)}
            best = mode.model_copy(update=update)
    return best


def _candidates(cores: int) -> list[int]:
    """Return the numbers of streams to try: 1, 2, 4, 8, at most one per core."""
    return [n for n in (1, 2, 4, STREAMS_MAX) if n <= max(1, cores)]


def _throughput_fps(package: Package, mode: RunMode, streams: int) -> float:
    """Return pictures per second while every stream is busy."""
    detector = open_detector(
        package, mode.variant, mode.precision_hint, streams=streams
    )
    requests = open_requests(detector, streams)
    _run_for(0, requests)  # the first run of each is slow
    started = time.perf_counter()
    done = _run_for(MEASURED_S, requests)
    return done / (time.perf_counter() - started)


def _run_for(seconds: float, requests: tuple[Inference, ...]) -> int:
    """Keep all requests busy; return the number of runs."""
    end, done = time.perf_counter() + seconds, 0
    for request in requests:
        request.start(_ignore)
    while time.perf_counter() < end:
        for request in requests:
            request.result()
            request.start(_ignore)
            done += 1
    for request in requests:
        request.result()
    return done + len(requests)


def _ignore() -> None:
    """Ignore that a run has ended: ``_run_for`` waits for each result anyway."""
