"""The latency of the variants on this machine, for the report only.

Which precision is the fastest depends on the processor: the line PC measures again and
decides by its own figures.
"""

import time
from collections.abc import Mapping

import numpy as np

from models.detector import Detector
from models.manifest import VariantName

ROUNDS = 15  # the median of so many hardly moves on a quiet machine
WARM_UP = 3  # rounds in which a runtime still allocates


def measure_latency(
    detectors: Mapping[VariantName, Detector],
) -> dict[VariantName, float]:
    """Return the median time of one picture for each variant, in milliseconds.

    The variants take turns, so that other work on the machine slows all of them alike.
    """
    latencies_ms: dict[VariantName, list[float]] = {name: [] for name in detectors}
    for number in range(WARM_UP + ROUNDS):
        for name, detector in detectors.items():
            image = np.full((*detector.input_size_px, 3), 100 + number, np.uint8)
            started_s = time.perf_counter()
            detector.infer(image)
            if number >= WARM_UP:
                latencies_ms[name].append((time.perf_counter() - started_s) * 1e3)
    return {name: round(float(np.median(ms)), 2) for name, ms in latencies_ms.items()}
