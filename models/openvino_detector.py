"""Runs a graph with OpenVINO; the only module that imports it at run time.

The input of the compiled graph is the picture as cameras deliver it, 8 bit and
interleaved: the conversion to planar float32 is compiled into the graph, which is exact
and saves the caller a copy of four times the size. The outputs are bitwise the same.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.boxes import FloatArray
from models.errors import PackageError
from models.openvino_runtime import ov, preprocess
from models.preprocess import Frame

RESULT_LIMIT_MS = 60_000  # a large model on a slow, busy machine takes a second


def supports_bf16() -> bool:
    """Return whether this processor computes in bf16.

    Without it OpenVINO accepts the precision hint and uses float32 without a warning.
    """
    capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


class OpenVinoRequest:
    """One infer request; see ``models.inference.Inference``."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._request = compiled.create_infer_request()
        self._request.set_callback(self._on_done, None)
        self._when_done: Callable[[], None] | None = None
        self._has_result = False
        self.image: Frame = self._request.get_input_tensor(0).data[0]

    @property
    def is_idle(self) -> bool:
        """See ``Inference.is_idle``."""
        return self._when_done is None

    @property
    def is_done(self) -> bool:
        """See ``Inference.is_done``."""
        if self._when_done is None or self._has_result:
            return self._has_result
        try:  # OpenVINO does not call back after a failure
            return bool(self._request.wait_for(0))
        except RuntimeError:  # the error is raised by ``result``
            return True

    def start(self, when_done: Callable[[], None]) -> None:
        """Queue the run and return at once; see ``Inference.start``."""
        self._when_done = when_done
        self._request.start_async()

    def result(self) -> FloatArray:
        """Return the result; see ``Inference.result``."""
        try:
            if not self._request.wait_for(RESULT_LIMIT_MS):
                raise _failed(f"No result within {RESULT_LIMIT_MS / 1000:g} s.")
        except RuntimeError as exc:
            raise _failed(str(exc).strip().splitlines()[-1]) from exc
        finally:
            if self.is_done:  # else it still runs and cannot be started again
                self._when_done, self._has_result = None, False
        return np.array(self._request.get_output_tensor(0).data[0], np.float32)

    def _on_done(self, _: object) -> None:
        """Called in a thread of OpenVINO."""
        self._has_result = True
        if self._when_done is not None:
            self._when_done()


class OpenVinoDetector:
    """A compiled OpenVINO model.

    Args:
        path: ``.xml`` (or ``.onnx``) file of the graph.
        precision_hint: ``f32`` or ``bf16``; empty = the device's own choice.
        threads: Number of inference threads, 0 = all cores.
        streams: Pictures that are inferred at the same time; they share the threads.
            1 = lowest latency of each.

    Raises:
        PackageError: OpenVINO cannot read or compile the file, or its input is
            not the graph contract's.
    """

    def __init__(
        self, path: Path, precision_hint: str = "", threads: int = 0, streams: int = 1
    ) -> None:
        config: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
        if streams > 1:
            config = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": str(streams)}
        if precision_hint:
            config["INFERENCE_PRECISION_HINT"] = precision_hint
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            core = ov.Core()
            model = core.read_model(str(path))
            self.input_size_px: tuple[int, int] = _input_size_px(model, path)
            self._compiled = core.compile_model(_with_u8_input(model), "CPU", config)
        except RuntimeError as exc:
            raise PackageError(
                f"{path}: OpenVINO {ov.__version__} cannot load this model.",
                why=str(exc).strip().splitlines()[-1],
                fix="Pack the run again, or choose another variant.",
            ) from exc
        self._own: OpenVinoRequest | None = None

    def open_request(self) -> OpenVinoRequest:
        """Return one more request on the same compiled model."""
        return OpenVinoRequest(self._compiled)

    def infer(self, image: Frame) -> FloatArray:
        """Run the graph once; see ``models.detector.Detector.infer``."""
        own = self._own = self._own or self.open_request()
        if image.shape != own.image.shape:
            raise _failed(f"The picture is {image.shape}, expected {own.image.shape}.")
        np.copyto(own.image, image, casting="no")
        own.start(_ignore)
        return own.result()


def _input_size_px(model: ov.Model, path: Path) -> tuple[int, int]:
    """Return height and width of the graph's input; refuse another layout."""
    partial_shape = model.input(0).partial_shape
    shape = tuple(partial_shape.to_shape()) if partial_shape.is_static else ()
    if len(shape) != 4 or shape[:2] != (1, 3):
        raise PackageError(
            f"{path}: the graph's input is {partial_shape}.",
            why="Expected [1, 3, H, W].",
            fix="Pack the run again with this version of Graftline.",
        )
    return shape[2], shape[3]


def _with_u8_input(model: ov.Model) -> ov.Model:
    """Return the graph with an input of ``[1, H, W, 3]`` uint8."""
    steps = preprocess.PrePostProcessor(model)
    picture = steps.input().tensor()
    picture.set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    return steps.build()


def _failed(why: str) -> PackageError:
    return PackageError(
        "OpenVINO failed during an inference.",
        why=why,
        fix="Run `graftline selftest PACKAGE`, or choose another variant.",
    )


def _ignore() -> None:
    """Ignore that a run has ended: ``infer`` waits for the result anyway."""
