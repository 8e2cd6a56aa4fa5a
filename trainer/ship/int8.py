"""The search for an INT8 variant that passes the accuracy gate.

The number of attempts is bounded, and each quantizes a graph again, the slowest part of
packing. So a second attempt is prepared by what is cheap: where the whole graph loses
too much, the layers are ranked by how far each moves the detections. The fewest of them
that carry half of that noise, or as many more as the golden frames need, up to nine
tenths of it, stay in float32; how many they need is searched on graphs that calculate
in float32 as INT8 would. Only then the whole graph with the other kind of activation
range, and nine tenths of the noise, are tried. The first graph that passes is kept.

ONNX first gets the attempt that OpenVINO ended with. Where OpenVINO passed with the
whole graph, ONNX is tried with the other ranges too, but without its own ranking, which
takes half a minute: line PCs run OpenVINO first.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from models.counted import counted
from models.errors import PackageError
from models.golden import run_golden
from models.manifest import Tolerance, VariantName
from models.onnx_detector import OnnxDetector
from models.tiled_detector import tiled
from trainer.ship.calibration import Calibration
from trainer.ship.metadata import model_info
from trainer.ship.nncf_adapter import Ranges
from trainer.ship.quantize import quantize_onnx, quantize_openvino
from trainer.ship.sensitivity import (
    InputRanges,
    Sensitivity,
    fewest_layers,
    fewest_passing,
    input_ranges,
    rank_layers,
    with_quantized,
)
from trainer.ship.variants import (
    MODEL_FILES,
    Dropped,
    VariantEvaluator,
    VariantResult,
    validate_int8,
)

# Of all noise, removed by layers that stay in float32.
LEAST_SHARE, MOST_SHARE = 0.5, 0.9
MOST_ATTEMPTS = 4
# Narrower than the widest tolerance of a package: INT8 itself rounds more than a graph
# that calculates as INT8 would.
LIKELY = Tolerance(score=0.2, iou=0.75)
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
        first, second = (QuantizationAttempt(ranges) for ranges in Ranges)
        if self._last:
            yield self._last
            if not self._last.in_float:
                yield second if self._last == first else first
            if not self._ranked:  # OpenVINO passed: nothing is ranked for ONNX
                return
            most = len(self._last.in_float)
        else:
            yield first
            layers = self._layers_in_float(first.ranges)
            in_float = QuantizationAttempt(first.ranges, layers)
            # INT8 gains little where most layers stay in float: other ranges go first.
            are_most = 2 * len(layers) > len(self._ranking(first.ranges))
            yield from (second, in_float) if are_most else (in_float, second)
            most = len(layers)
        layers = fewest_layers(self._ranking(first.ranges), MOST_SHARE)
        if len(layers) > most:
            # Where golden frames refused both, neither drop is known.
            drops = self._worst_drop
            ranges = min(drops, key=drops.__getitem__) if drops else first.ranges
            yield QuantizationAttempt(ranges, layers)

    def _layers_in_float(self, ranges: Ranges) -> tuple[str, ...]:
        """Return the fewest layers in float32 with which golden frames should pass."""
        ranked = self._ranking(ranges)
        least, most = (
            len(fewest_layers(ranked, share)) for share in (LEAST_SHARE, MOST_SHARE)
        )
        inputs = self._inputs[ranges]
        names = [entry.layer for entry in ranked]

        def passes(count: int) -> bool:
            return self._reproduces_golden(
                {name: inputs[name] for name in names[count:]}
            )

        return tuple(names[: fewest_passing(least, most, passes)])

    def _reproduces_golden(self, quantized: InputRanges) -> bool:
        """Return whether the golden frames pass with some layers as in INT8."""
        evaluator = self._evaluator
        model = onnx.load(evaluator.folder / MODEL_FILES[VariantName.ONNX_FP32])
        with tempfile.TemporaryDirectory() as folder:  # not into the package
            path = Path(folder) / "as-int8.onnx"
            onnx.save(with_quantized(model, quantized), path)
            detector = tiled(OnnxDetector(path), evaluator.manifest.tiling())
            pairs, manifest = evaluator.pairs, evaluator.manifest
            return run_golden(detector, pairs, manifest, LIKELY).passed

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
