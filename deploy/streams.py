"""How many pictures at the same time pay on this machine, measured.

With one stream all cores work on one picture; with several, each stream has its own
cores, and no core waits for another one in the middle of a picture. That gives more
pictures a second, each of which takes longer. More streams than needed only cost age
and memory, so the smallest number is taken that is nearly as fast as the best.
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
WORTH_IT = 1.05  # gain from which more streams are taken: above what noise gives


def measure_streams(package: Package, mode: RunMode) -> RunMode:
    """Return a run mode with the number of streams that pays here.

    Args:
        package: A verified package.
        mode: One that reproduced the golden frames.

    Raises:
        PackageError: The runtime failed.
    """
    best = mode
    for streams in _candidates(len(os.sched_getaffinity(0))):
        fps = _throughput_fps(package, mode, streams)
        logger.info("streams_measured streams=%d fps=%.1f", streams, fps)
        if fps > best.throughput_fps * WORTH_IT:
            update = {"streams": streams, "throughput_fps": round(fps, 2)}
            best = mode.model_copy(update=update)
    return best


def _candidates(cores: int) -> list[int]:
    """Return the numbers of streams worth a try: 1, 2, 4, 8, as far as cores go."""
    return [n for n in (1, 2, 4, STREAMS_MAX) if n <= max(1, cores)]


def _throughput_fps(package: Package, mode: RunMode, streams: int) -> float:
    """Return pictures a second with every stream always at work."""
    detector = open_detector(
        package, mode.variant, mode.precision_hint, streams=streams
    )
    requests = open_requests(detector, streams)
    _rounds(requests, 0)  # the first run of each is slow
    started = time.perf_counter()
    done = _rounds(requests, MEASURED_S)
    return done / (time.perf_counter() - started)


def _rounds(requests: tuple[Inference, ...], seconds: float) -> int:
    """Keep all requests at work for a while; return how many runs that were."""
    end, done = time.perf_counter() + seconds, 0
    for request in requests:
        request.start(_nothing)
    while time.perf_counter() < end:
        for request in requests:
            request.take()
            request.start(_nothing)
            done += 1
    for request in requests:
        request.take()
    return done + len(requests)


def _nothing() -> None:
    """Take the word that a run has ended where somebody waits for it anyway."""
