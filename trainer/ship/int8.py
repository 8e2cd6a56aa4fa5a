"""The search for an INT8 variant that passes the gate, in a bounded number of tries.

First the whole graph, with each way of taking ranges. Where both lose too much, the
layers are ranked by what each does to the detections, and the fewest that carry half,
then nine tenths of the noise stay in float32: the first such graph that passes is kept.
ONNX gets what OpenVINO passed with; where OpenVINO passed whole, ONNX gets the other
ranges too, but no layers are ranked for it alone: it is not what line PCs run first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

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
    prove_int8,
)

SHARES = (0.5, 0.9)  # of the noise, taken out by layers in float32
MOST_TRIES = len(Ranges) + len(SHARES)
RANKING_PHOTOS = 6  # those with most boxes: more ranked the same layers first


@dataclass(frozen=True, slots=True)
class QuantizationAttempt:
    """One way of quantizing.

    Attributes:
        ranges: How the photos set the ranges.
        in_float: ONNX names of the layers that stay in float32.
    """

    ranges: Ranges
    in_float: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in a few words."""
        if not self.in_float:
            return self.ranges.value
        return f"{self.ranges}, {len(self.in_float)} layers in float"


def make_int8(
    trial: VariantEvaluator,
    calibration: Calibration,
    on_progress: Callable[[str], None],
) -> dict[VariantName, VariantResult]:
    """Make both INT8 variants; one that never passes is left out with its reason.

    Args:
        trial: What to try them with.
        calibration: Photos that set the ranges.
        on_progress: Told of each step.
    """
    search = _Search(trial, calibration, on_progress)
    names = VariantName.OPENVINO_INT8, VariantName.ONNX_INT8
    return {name: search.run(name) for name in names}


class _Search:
    """Remembers between the two variants what was found out with the first."""

    def __init__(
        self,
        trial: VariantEvaluator,
        calibration: Calibration,
        on_progress: Callable[[str], None],
    ) -> None:
        self._trial = trial
        self._calibration = calibration
        self._on_progress = on_progress
        self._inputs: dict[Ranges, InputRanges] = {}
        self._excess: dict[Ranges, float] = {}
        self._ranked: list[Sensitivity] = []
        self._last: QuantizationAttempt | None = (
            None  # that the first variant ended with
        )

    def run(self, name: VariantName) -> VariantResult:
        """Return the proof of the first way that passes, else of the last one."""
        proof = VariantResult(None, {}, (Dropped(name, "it could not be made."),))
        way = None
        for number, way in enumerate(self._ways(), 1):
            self._on_progress(
                f"quantizing {name} with {len(self._calibration.photos)} photos "
                f"({way}; try {number} of at most {MOST_TRIES})"
            )
            proof = self._attempt(name, way)
            for dropped in proof.dropped:
                self._on_progress(str(dropped))
            if proof.variant or way.ranges not in self._inputs:
                break
        self._last = way
        return proof

    def _ways(self) -> Iterator[QuantizationAttempt]:
        """Return what to try in turn; each is decided when the last one failed."""
        tried = set()
        begin = [QuantizationAttempt(ranges) for ranges in Ranges]
        if self._last:
            others = begin if not self._last.in_float else []
            begin = [self._last, *(way for way in others if way != self._last)]
        for way in begin:
            tried.add(way.in_float)
            yield way
        if self._last and not self._ranked:
            return  # the first variant passed whole: ranking for this one is a minute
        ranges = min(self._excess, key=self._excess.__getitem__)
        least = max(len(layers) for layers in tried)
        for share in SHARES:
            layers = fewest_layers(self._ranking(ranges), share)
            if len(layers) > least:
                least = len(layers)
                yield QuantizationAttempt(ranges, layers)

    def _attempt(self, name: VariantName, way: QuantizationAttempt) -> VariantResult:
        """Make one variant in one way and try it."""
        trial = self._trial
        info = model_info(trial.manifest.labels, trial.manifest.thresholds)
        target = trial.folder / MODEL_FILES[name]
        is_openvino = name is VariantName.OPENVINO_INT8
        source = VariantName.OPENVINO_FP32 if is_openvino else VariantName.ONNX_FP32
        quantize = quantize_openvino if is_openvino else quantize_onnx
        try:
            quantize(
                trial.folder / MODEL_FILES[source],
                target,
                self._calibration,
                way.ranges,
                info,
                way.in_float,
            )
        except PackageError as exc:  # the package is good without it
            return VariantResult(None, {}, (Dropped(name, exc.why or exc.what),))
        if is_openvino and not way.in_float:
            self._inputs[way.ranges] = input_ranges(target)
        proof = prove_int8(trial, name)
        if is_openvino and not way.in_float and proof.drops:
            self._excess[way.ranges] = proof.drops.excess()
        if proof.variant is None:
            return proof
        update = {
            "activation_ranges": way.ranges.value,
            "layers_in_float": way.in_float,
        }
        return replace(proof, variant=proof.variant.model_copy(update=update))

    def _ranking(self, ranges: Ranges) -> list[Sensitivity]:
        """Return the layers, worst first; compared once."""
        if not self._ranked:
            photos = sorted(
                self._calibration.photos, key=lambda photo: -len(photo.labels)
            )[:RANKING_PHOTOS]
            self._on_progress(
                f"comparing layer by layer on {len(photos)} photos what INT8 hurts"
            )
            self._ranked = rank_layers(
                self._trial.folder / MODEL_FILES[VariantName.ONNX_FP32],
                self._inputs[ranges],
                [self._calibration.read(photo) for photo in photos],
                self._tell_layer,
            )
        return self._ranked

    def _tell_layer(self, done: int, total: int) -> None:
        """Say every quarter how far the comparison is."""
        if done * 4 // total > (done - 1) * 4 // total:
            self._on_progress(f"compared {done} of {total} layers")
