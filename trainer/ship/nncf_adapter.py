"""The only module that calls NNCF.

NNCF reports each use over the network, unless OpenVINO's telemetry is blocked: so
``models.openvino_runtime`` is imported first. It writes to standard output, and changes
the logger class of the whole process. This adapter switches these off.
"""

import contextlib
import io
import logging
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from types import ModuleType
from typing import Any, TypeVar

from models.errors import PackageError

Model = TypeVar("Model")  # ov.Model or onnx.ModelProto
Sample = TypeVar("Sample")


class Ranges(StrEnum):
    """How the range of an activation follows from the photos, in the order of attempts.

    A defect is small and on few photos. Where it causes the strongest activations of
    all, the mean over photos clips them, the more so the more good parts there are.
    Where it does not, the whole range wastes steps on activations that hardly occur:
    on a trained YOLOX-nano it lost 2 points of mAP@.5 and the mean lost none. The
    range with the least square error over a histogram lost as much and took five
    times as long to find.
    """

    TYPICAL = "mean-of-extremes"
    WHOLE = "extremes"


def load_nncf() -> ModuleType:
    """Return NNCF with its telemetry and its own log handlers switched off."""
    if "nncf" not in sys.modules:
        logger_class = logging.getLoggerClass()
        import models.openvino_runtime  # noqa: PLC0415, F401 (blocks telemetry)

        with contextlib.redirect_stdout(io.StringIO()):
            import nncf  # noqa: PLC0415, F401 (slow)

        logging.setLoggerClass(logger_class)
        # NNCF makes torch search for a CUDA compiler, and torch warns if it is missing
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
        transform: Makes the model's input from one sample.
        ignored: Names of the nodes that stay in float32.

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

    from nncf.quantization.advanced_parameters import (  # noqa: PLC0415 (see above)
        AdvancedBiasCorrectionParameters,
        AdvancedQuantizationParameters,
    )
    from nncf.quantization.range_estimator import (  # noqa: PLC0415
        RangeEstimatorParameters,
        RangeEstimatorParametersSet,
    )

    # NNCF skips a layer's bias correction where one bias would more than double, which
    # a bias near zero always does. An infinite threshold corrects every bias.
    estimators = {
        Ranges.TYPICAL: RangeEstimatorParameters(),  # NNCF's default
        Ranges.WHOLE: RangeEstimatorParametersSet.MINMAX,
    }
    return AdvancedQuantizationParameters(
        activations_range_estimator_params=estimators[ranges],
        bias_correction_params=AdvancedBiasCorrectionParameters(threshold=float("inf")),
    )
