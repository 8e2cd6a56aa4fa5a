"""The door to NNCF, which behaves only behind one.

Left to itself NNCF reports each use over the network without having asked, writes
to standard output, and changes the class of everybody's loggers. A factory's
workstation must do none of that.
"""

import contextlib
import io
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, TypeVar

Model = TypeVar("Model")  # ov.Model or onnx.ModelProto
Sample = TypeVar("Sample")
TELEMETRY = "openvino_telemetry"


def load_nncf() -> ModuleType:
    """Return NNCF, with its telemetry and its own log handlers switched off."""
    if "nncf" not in sys.modules:
        logger_class = logging.getLoggerClass()
        with _unimportable(TELEMETRY), contextlib.redirect_stdout(io.StringIO()):
            import nncf  # noqa: PLC0415, F401 (slow; and only here without telemetry)
        logging.setLoggerClass(logger_class)
        logger = logging.getLogger("nncf")
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.ERROR)
    return sys.modules["nncf"]


def quantize(
    model: Model,
    samples: Sequence[Sample],
    transform: Callable[[Sample], Any],
    ignored: Sequence[str],
) -> Model:
    """Return the model in INT8, except for some of its nodes.

    Args:
        model: OpenVINO or ONNX model in float32.
        samples: What calibration goes through.
        transform: Makes the model's input from one sample.
        ignored: Names of the nodes that stay in float32.

    Source:
        NNCF post-training quantization; preset MIXED (activations asymmetric), as
        its documentation advises for Swish-like activations.
    """
    nncf = load_nncf()
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        result: Model = nncf.quantize(
            model,
            nncf.Dataset(samples, transform),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=list(ignored)),
            advanced_parameters=_whole_range(),
        )
    return result


def _whole_range() -> Any:  # noqa: ANN401 - NNCF has no types
    """Return parameters that keep the strongest activation of any photo.

    NNCF's default is the mean over photos of each photo's maximum. A defect is on
    few photos and small: the mean cuts off just what answers to it, the more good
    parts there are among the photos.
    """
    from nncf.quantization.advanced_parameters import (  # noqa: PLC0415 (see above)
        AdvancedQuantizationParameters,
    )
    from nncf.quantization.range_estimator import (  # noqa: PLC0415
        RangeEstimatorParametersSet,
    )

    return AdvancedQuantizationParameters(
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
    )


@contextlib.contextmanager
def _unimportable(name: str) -> Iterator[None]:
    """Make a module look as if it were not installed."""
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # Source: importlib's docs
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
