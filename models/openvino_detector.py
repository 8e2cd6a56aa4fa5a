"""The door to OpenVINO at run time.

The compiled graph takes the picture as the camera gives it, 8 bit and interleaved: the
conversion to planar float32 is compiled into it, which is exact and saves the caller a
copy of four times the size. Its answers are the same to the last bit.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
from openvino.preprocess import PrePostProcessor

from models.boxes import FloatArray
from models.errors import PackageError
from models.preprocess import Frame

ANSWER_LIMIT_MS = 60_000  # a large model on a slow, busy machine takes a second


def supports_bf16() -> bool:
    """Return whether this processor calculates in bf16.

    Without it OpenVINO accepts the precision hint and quietly uses float32.
    """
    capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


class OpenVinoRequest:
    """One infer request; see ``models.inference.Inference``.

    Args:
        compiled: The graph.
    """

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._request = compiled.create_infer_request()
        self._request.set_callback(self._note, None)
        self._when_done: Callable[[], None] | None = None
        self._has_told = False
        self.image: Frame = self._request.get_input_tensor(0).data[0]

    @property
    def is_idle(self) -> bool:
        """See ``Inference.is_idle``."""
        return self._when_done is None

    @property
    def is_done(self) -> bool:
        """See ``Inference.is_done``."""
        if self._when_done is None or self._has_told:
            return self._has_told
        try:  # OpenVINO does not call back after a failure
            return bool(self._request.wait_for(0))
        except RuntimeError:  # told where the answer is taken
            return True

    def start(self, when_done: Callable[[], None]) -> None:
        """Queue the run and return at once; see ``Inference.start``."""
        self._when_done = when_done
        self._request.start_async()

    def take(self) -> FloatArray:
        """Return the answer; see ``Inference.take``."""
        try:
            if not self._request.wait_for(ANSWER_LIMIT_MS):
                raise _failed(f"No answer within {ANSWER_LIMIT_MS / 1000:g} s.")
        except RuntimeError as exc:
            raise _failed(str(exc).strip().splitlines()[-1]) from exc
        finally:
            if self.is_done:  # else it still runs, and is of no more use
                self._when_done, self._has_told = None, False
        return np.array(self._request.get_output_tensor(0).data[0], np.float32)

    def _note(self, _: object) -> None:
        """Say that there is an answer; called in a thread of OpenVINO."""
        self._has_told = True
        if self._when_done is not None:
            self._when_done()


class OpenVinoDetector:
    """A compiled OpenVINO model.

    Args:
        path: ``.xml`` (or ``.onnx``) file of the graph.
        precision_hint: ``f32`` or ``bf16``; empty = the device's own choice.
        threads: Number of inference threads, 0 = all cores.
        streams: Number of pictures that it works on at the same time; they share the
            threads. 1 = each as soon as possible.

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
            self._compiled = core.compile_model(_taking_pictures(model), "CPU", config)
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
        own.start(_nothing)
        return own.take()


def _input_size_px(model: ov.Model, path: Path) -> tuple[int, int]:
    """Return height and width of the graph's input; refuse what breaks the contract."""
    partial_shape = model.input(0).partial_shape
    shape = tuple(partial_shape.to_shape()) if partial_shape.is_static else ()
    if len(shape) != 4 or shape[:2] != (1, 3):
        raise PackageError(
            f"{path}: the graph's input is {partial_shape}.",
            why="Expected [1, 3, H, W].",
            fix="Pack the run again with this version of Graftline.",
        )
    return shape[2], shape[3]


def _taking_pictures(model: ov.Model) -> ov.Model:
    """Return the graph with an input of ``[1, H, W, 3]`` uint8."""
    steps = PrePostProcessor(model)
    picture = steps.input().tensor()
    picture.set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    return steps.build()


def _failed(why: str) -> PackageError:
    """Return the error of a run that did not end well."""
    return PackageError(
        "OpenVINO failed in the middle of an inference.",
        why=why,
        fix="Run `graftline selftest PACKAGE`, or choose another variant.",
    )


def _nothing() -> None:
    """Take the word that a run has ended where somebody waits for it anyway."""
