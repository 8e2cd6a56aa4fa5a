"""How long variants take on this machine, for people to read.

The line PC measures again and decides for itself: which precision is the fastest
depends on its processor.
"""

import time
from collections.abc import Mapping

import numpy as np

from models.detector import Detector
from models.manifest import VariantName

ROUNDS = 15  # the middle of so many hardly moves on a quiet machine
WARM_UP = 3  # rounds in which a runtime still allocates


def measure_latency(
    detectors: Mapping[VariantName, Detector],
) -> dict[VariantName, float]:
    """Return the middle time of one picture for each variant, in milliseconds.

    They take turns, so that other work on the machine slows all of them alike.

    Args:
        detectors: Ready to run.
    """
    taken: dict[VariantName, list[float]] = {name: [] for name in detectors}
    for number in range(WARM_UP + ROUNDS):
        for name, detector in detectors.items():
            image = np.full((*detector.input_size_px, 3), 100 + number, np.uint8)
            begun = time.perf_counter()
            detector.infer(image)
            if number >= WARM_UP:
                taken[name].append((time.perf_counter() - begun) * 1e3)
    return {name: round(float(np.median(row)), 2) for name, row in taken.items()}
