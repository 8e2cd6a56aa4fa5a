"""The door to OpenVINO at run time."""

from pathlib import Path

import numpy as np
import openvino as ov

from models.boxes import FloatArray
from models.errors import PackageError


def supports_bf16() -> bool:
    """Return whether this processor calculates in bf16.

    Without it OpenVINO accepts the precision hint and quietly uses float32.
    """
    capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


class OpenVinoDetector:
    """A compiled OpenVINO model with one infer request.

    Args:
        path: ``.xml`` (or ``.onnx``) file of the graph.
        precision_hint: ``f32`` or ``bf16``; empty = the device's own choice.
        threads: Number of inference threads, 0 = all cores.

    Raises:
        PackageError: OpenVINO cannot read or compile the file, or its input is
            not the graph contract's.
    """

    def __init__(self, path: Path, precision_hint: str = "", threads: int = 0) -> None:
        config: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
        if precision_hint:
            config["INFERENCE_PRECISION_HINT"] = precision_hint
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = ov.Core().compile_model(str(path), "CPU", config)
        except RuntimeError as exc:
            raise PackageError(
                f"{path}: OpenVINO {ov.__version__} cannot load this model.",
                why=str(exc).strip().splitlines()[-1],
                fix="Pack the run again, or choose another variant.",
            ) from exc
        partial_shape = compiled.input(0).partial_shape
        shape = tuple(partial_shape.to_shape()) if partial_shape.is_static else ()
        if len(shape) != 4 or shape[:2] != (1, 3):
            raise PackageError(
                f"{path}: the graph's input is {partial_shape}.",
                why="Expected [1, 3, H, W].",
                fix="Pack the run again with this version of Graftline.",
            )
        self.input_size_px: tuple[int, int] = (shape[2], shape[3])
        self._request = compiled.create_infer_request()

    def infer(self, images: FloatArray) -> FloatArray:
        """Run the graph once; see ``models.detector.Detector.infer``."""
        try:
            self._request.infer({0: images}, share_inputs=True)
        except RuntimeError as exc:
            raise PackageError(
                "OpenVINO failed in the middle of an inference.",
                why=str(exc).strip().splitlines()[-1],
                fix="Run `graftline selftest PACKAGE`, or choose another variant.",
            ) from exc
        output = self._request.get_output_tensor(0).data[0]
        return np.array(output, np.float32)
