"""The search for an INT8 variant that passes the accuracy gate.

The number of attempts is bounded. First the whole graph is quantized, once for each
kind of activation range. Where both lose too much, the layers are ranked by how far
each moves the detections, and the fewest layers that carry half, then nine tenths of
that noise stay in float32. The first graph that passes is kept.

ONNX first gets the attempt that OpenVINO ended with. Where OpenVINO passed with the
whole graph, ONNX is tried with the other ranges too, but without its own ranking, which
takes a minute: line PCs run OpenVINO first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from models.counted import counted
from models.errors import PackageError
from models.manifest import VariantName
from trainer.ship.calibration import Calibration
from trainer.ship.metadata import model_info
from trainer.ship.nncf_adapter import Ranges
from trainer.ship.quantize import quantize_onnx, quantize_openvino
from trainer.ship.sensitivity import (
    InputRanges,
    Sensitivity,
    fewest_layers,
    input_ranges,
    rank_layers,
)
from trainer.ship.variants import (
    MODEL_FILES,
    Dropped,
    VariantEvaluator,
    VariantResult,
    validate_int8,
)

NOISE_SHARES = (0.5, 0.9)  # of all noise, removed by layers that stay in float32
MOST_ATTEMPTS = len(Ranges) + len(NOISE_SHARES)
RANKING_PHOTOS = 6  # those with most boxes; more photos ranked the same layers first


@dataclass(frozen=True, slots=True)
class QuantizationAttempt:
    """One way to quantize the graph."""

    ranges: Ranges
    in_float: tuple[str, ...] = ()  # ONNX names of the layers that stay in float32

    def __str__(self) -> str:
        if not self.in_float:
            return self.ranges.value
        return f"{self.ranges}, {counted(len(self.in_float), 'layer')} in float"


def make_int8(
    evaluator: VariantEvaluator,
    calibration: Calibration,
    on_progress: Callable[[str], None],
) -> dict[VariantName, VariantResult]:
    """Make both INT8 variants; one that never passes is left out with its reason."""
    search = _Search(evaluator, calibration, on_progress)
    names = VariantName.OPENVINO_INT8, VariantName.ONNX_INT8
    return {name: search.run(name) for name in names}


class _Search:
    """Keeps what the first variant has shown for the second one."""

    def __init__(
        self,
        evaluator: VariantEvaluator,
        calibration: Calibration,
        on_progress: Callable[[str], None],
    ) -> None:
        self._evaluator = evaluator
        self._calibration = calibration
        self._on_progress = on_progress
        self._inputs: dict[Ranges, InputRanges] = {}  # of the whole graph in OpenVINO
        self._worst_drop: dict[Ranges, float] = {}  # likewise
        self._ranked: list[Sensitivity] = []
        self._last: QuantizationAttempt | None = None  # the first variant ended with it

    def run(self, name: VariantName) -> VariantResult:
        """Return the result of the first attempt that passes, else of the last one."""
        result = VariantResult(None, {}, (Dropped(name, "it could not be made."),))
        attempt = None
        for number, attempt in enumerate(self._attempts(), 1):
            self._on_progress(
                f"quantizing {name} with "
                f"{counted(len(self._calibration.photos), 'photo')} "
                f"({attempt}; attempt {number} of at most {MOST_ATTEMPTS})"
            )
            result = self._make(name, attempt)
            for dropped in result.dropped:
                self._on_progress(str(dropped))
            # NNCF refused the whole graph: no other attempt can succeed
            if result.variant or attempt.ranges not in self._inputs:
                break
        self._last = attempt
        return result

    def _attempts(self) -> Iterator[QuantizationAttempt]:
        """Yield the attempts in turn; each is decided when the last one has failed."""
        tried = set()
        whole_graph = [QuantizationAttempt(ranges) for ranges in Ranges]
        if self._last:
            others = whole_graph if not self._last.in_float else []
            whole_graph = [self._last, *(a for a in others if a != self._last)]
        for attempt in whole_graph:
            tried.add(attempt.in_float)
            yield attempt
        if self._last and not self._ranked:
            return  # OpenVINO passed with the whole graph: nothing is ranked for ONNX
        ranges = min(self._worst_drop, key=self._worst_drop.__getitem__)
        most = max(len(layers) for layers in tried)
        for share in NOISE_SHARES:
            layers = fewest_layers(self._ranking(ranges), share)
            if len(layers) > most:
                most = len(layers)
                yield QuantizationAttempt(ranges, layers)

    def _make(self, name: VariantName, attempt: QuantizationAttempt) -> VariantResult:
        """Quantize one variant in one way and measure it."""
        evaluator = self._evaluator
        info = model_info(evaluator.manifest.labels, evaluator.manifest.thresholds)
        target = evaluator.folder / MODEL_FILES[name]
        is_openvino = name is VariantName.OPENVINO_INT8
        source = VariantName.OPENVINO_FP32 if is_openvino else VariantName.ONNX_FP32
        quantize = quantize_openvino if is_openvino else quantize_onnx
        try:
            quantize(
                evaluator.folder / MODEL_FILES[source],
                target,
                self._calibration,
                attempt.ranges,
                info,
                attempt.in_float,
            )
        except PackageError as exc:  # the package is complete without INT8
            return VariantResult(None, {}, (Dropped(name, exc.why or exc.what),))
        if is_openvino and not attempt.in_float:
            self._inputs[attempt.ranges] = input_ranges(target)
        result = validate_int8(evaluator, name)
        if is_openvino and not attempt.in_float and result.drops:
            self._worst_drop[attempt.ranges] = result.drops.worst_drop()
        if result.variant is None:
            return result
        update = {
            "activation_ranges": attempt.ranges.value,
            "layers_in_float": attempt.in_float,
        }
        return replace(result, variant=result.variant.model_copy(update=update))

    def _ranking(self, ranges: Ranges) -> list[Sensitivity]:
        """Return the layers, most noise first; calculated once."""
        if not self._ranked:
            photos = sorted(
                self._calibration.photos, key=lambda photo: -len(photo.labels)
            )[:RANKING_PHOTOS]
            self._on_progress(
                f"comparing layer by layer on {counted(len(photos), 'photo')} what "
                "INT8 costs"
            )
            self._ranked = rank_layers(
                self._evaluator.folder / MODEL_FILES[VariantName.ONNX_FP32],
                self._inputs[ranges],
                [self._calibration.read(photo) for photo in photos],
                self._report_layer,
            )
        return self._ranked

    def _report_layer(self, done: int, total: int) -> None:
        if done * 4 // total > (done - 1) * 4 // total:  # at every quarter
            self._on_progress(f"compared {done} of {total} layers")
