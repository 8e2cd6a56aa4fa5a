"""The time of an inference before anything is trained: weights do not change it."""

import tempfile
import time
from pathlib import Path

import numpy as np

from models.openvino_detector import OpenVinoDetector
from trainer.detectors.base import TrainableDetector
from trainer.ship.export import export_onnx

ROUNDS = 20


def inference_ms(
    model: TrainableDetector, input_height_px: int, input_width_px: int
) -> float:
    """Return the milliseconds of one inference on this machine.

    OpenVINO, in the precision that it chooses for this processor, without INT8: whether
    that passes its gate is not known before the training. The shortest of
    ``ROUNDS`` counts: it is the one that other programs disturbed least.

    Raises:
        PackageError: The network cannot be exported or compiled.
        OSError: The temporary file cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(
            model,
            path,
            input_height_px=input_height_px,
            input_width_px=input_width_px,
            info={},
        )
        detector = OpenVinoDetector(path)
    picture = np.full((input_height_px, input_width_px, 3), 100, np.uint8)
    times_s = []
    for _ in range(ROUNDS):
        started_s = time.perf_counter()
        detector.infer(picture)
        times_s.append(time.perf_counter() - started_s)
    return min(times_s) * 1e3
