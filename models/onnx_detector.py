"""Runs a graph with ONNX Runtime; the only module that imports it at run time."""

from pathlib import Path

import numpy as np

from models.boxes import FloatArray
from models.errors import PackageError
from models.onnx_runtime import ort
from models.preprocess import Frame, planar


class OnnxDetector:
    """An ONNX Runtime session on the CPU.

    Args:
        path: ``.onnx`` file of the graph.
        threads: Number of inference threads, 0 = all cores.

    Raises:
        PackageError: ONNX Runtime cannot read the file, or its input is not the
            graph contract's.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only: warnings need no action
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        # ONNX Runtime's exceptions have no other common base class than Exception.
        except Exception as exc:
            raise PackageError(
                f"{path}: ONNX Runtime {ort.__version__} cannot load this model.",
                why=str(exc).strip().splitlines()[0],
                fix="Pack the run again, or choose another variant.",
            ) from exc
        graph_input = self._session.get_inputs()[0]
        shape = tuple(graph_input.shape)
        is_static = all(isinstance(side, int) for side in shape)
        if len(shape) != 4 or shape[:2] != (1, 3) or not is_static:
            raise PackageError(
                f"{path}: the graph's input is {shape}.",
                why="Expected [1, 3, H, W].",
                fix="Pack the run again with this version of Graftline.",
            )
        self._input_name = graph_input.name
        self.input_size_px: tuple[int, int] = (int(shape[2]), int(shape[3]))

    def infer(self, image: Frame) -> FloatArray:
        """Run the graph once; see ``models.detector.Detector.infer``."""
        try:
            output = self._session.run(None, {self._input_name: planar(image)})[0]
        # ONNX Runtime's exceptions have no other common base class than Exception.
        except Exception as exc:
            raise PackageError(
                "ONNX Runtime failed during an inference.",
                why=str(exc).strip().splitlines()[0],
                fix="Run `graftline selftest PACKAGE`, or choose another variant.",
            ) from exc
        return np.asarray(output[0], np.float32)
