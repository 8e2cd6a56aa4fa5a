"""Latency is the median of the rounds after the warm-up."""

import numpy as np

from models.manifest import VariantName
from trainer.ship.speed import ROUNDS, WARM_UP, measure_latency


class CountingDetector:
    """A detector that counts its runs.

    Attributes:
        runs: Values of the pixels of each picture, in order.
    """

    input_size_px = (8, 12)

    def __init__(self) -> None:
        self.runs: list[int] = []

    def infer(self, image: np.ndarray) -> np.ndarray:
        assert image.shape == (8, 12, 3)
        self.runs.append(int(image[0, 0, 0]))
        return np.zeros((5, 1), np.float32)


def test_every_variant_runs_all_rounds_on_changing_pictures() -> None:
    detectors = {
        VariantName.OPENVINO_FP32: CountingDetector(),
        VariantName.OPENVINO_INT8: CountingDetector(),
    }
    latency_ms = measure_latency(detectors)
    assert set(latency_ms) == set(detectors)
    assert all(value >= 0 for value in latency_ms.values())
    for detector in detectors.values():
        assert len(detector.runs) == WARM_UP + ROUNDS
        assert len(set(detector.runs)) == len(detector.runs)
