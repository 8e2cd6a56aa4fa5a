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
from enum import StrEnum
from types import ModuleType
from typing import Any, TypeVar

from models.errors import PackageError

Model = TypeVar("Model")  # ov.Model or onnx.ModelProto
Sample = TypeVar("Sample")
TELEMETRY = "openvino_telemetry"


class Ranges(StrEnum):
    """Which activations INT8 can still tell apart, in the order to try them.

    A defect is on few photos and small. Where it is answered by the strongest
    activations of all, the mean over photos cuts that answer off, the more so the
    more good parts there are. Where it is not, the whole range wastes steps on
    activations that hardly occur: on a trained YOLOX-nano it cost 2 points of
    mAP@.5 and the mean cost nothing. The range with the least square error over a
    histogram lost as much and took five times as long to find.
    """

    TYPICAL = "mean-of-extremes"
    WHOLE = "extremes"


def load_nncf() -> ModuleType:
    """Return NNCF, with its telemetry and its own log handlers switched off."""
    if "nncf" not in sys.modules:
        logger_class = logging.getLoggerClass()
        with _unimportable(TELEMETRY), contextlib.redirect_stdout(io.StringIO()):
            import nncf  # noqa: PLC0415, F401 (slow; and only here without telemetry)
        logging.setLoggerClass(logger_class)
        # NNCF makes torch look for a CUDA compiler, and torch complains about none
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
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
    ranges: Ranges,
) -> Model:
    """Return the model in INT8, except for some of its nodes.

    Args:
        model: OpenVINO or ONNX model in float32.
        samples: What calibration goes through.
        transform: Makes the model's input from one sample.
        ignored: Names of the nodes that stay in float32.
        ranges: How the range of each activation is taken from the samples.

    Raises:
        PackageError: NNCF cannot quantize this model.

    Source:
        NNCF post-training quantization; preset MIXED (activations asymmetric), as
        its documentation advises for Swish-like activations.
    """
    nncf = load_nncf()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
            result: Model = nncf.quantize(
                model,
                nncf.Dataset(samples, transform),
                subset_size=len(samples),
                preset=nncf.QuantizationPreset.MIXED,
                ignored_scope=nncf.IgnoredScope(names=list(ignored)),
                advanced_parameters=_parameters(ranges),
            )
    except (
        nncf.InternalError,
        nncf.ValidationError,
        nncf.UnsupportedModelError,
        RuntimeError,
        ValueError,
    ) as exc:
        raise PackageError(
            "NNCF cannot quantize this model.",
            why=str(exc).strip().partition("\n")[0],
            fix="Pack with --no-int8.",
        ) from exc
    return result


def _parameters(ranges: Ranges) -> Any:  # noqa: ANN401 - NNCF has no types
    """Return how NNCF takes the ranges of activations and corrects biases.

    Every bias is corrected. By default NNCF leaves those of a layer as they are where
    one of them would more than double, which a bias near zero always does.
    """
    from nncf.quantization.advanced_parameters import (  # noqa: PLC0415 (see above)
        AdvancedBiasCorrectionParameters,
        AdvancedQuantizationParameters,
    )
    from nncf.quantization.range_estimator import (  # noqa: PLC0415
        RangeEstimatorParameters,
        RangeEstimatorParametersSet,
    )

    estimators = {
        Ranges.TYPICAL: RangeEstimatorParameters(),  # NNCF's default
        Ranges.WHOLE: RangeEstimatorParametersSet.MINMAX,
    }
    return AdvancedQuantizationParameters(
        activations_range_estimator_params=estimators[ranges],
        bias_correction_params=AdvancedBiasCorrectionParameters(threshold=float("inf")),
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
