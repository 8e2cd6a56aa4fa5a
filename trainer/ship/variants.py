"""Each variant of the model is measured, then kept or dropped with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from models.detections import Detections
from models.detector import Detector
from models.errors import PackageError
from models.golden import GoldenResult
from models.manifest import (
    Manifest,
    Metrics,
    PrecisionHint,
    Tolerance,
    Variant,
    VariantName,
)
from models.onnx_detector import OnnxDetector
from models.openvino_detector import OpenVinoDetector, supports_bf16
from models.tiled_detector import tiled
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import measure, predict_photos
from trainer.ship.accuracy_gate import (
    LARGEST_FLOAT32_DROP,
    LARGEST_INT8_DROP,
    AccuracyDrops,
    measure_drops,
)
from trainer.ship.parity import (
    STRICT,
    UNMEASURED_BF16,
    GoldenPairs,
    measure_tolerance,
    require_parity,
    run_mode_name,
)

MODEL_FILES = {
    VariantName.OPENVINO_FP32: "openvino/fp32.xml",
    VariantName.OPENVINO_INT8: "openvino/int8.xml",
    VariantName.ONNX_FP32: "model.onnx",
    VariantName.ONNX_INT8: "int8.onnx",
}

OUTSIDE_TOLERANCE = "it does not reproduce the golden frames."


@dataclass(frozen=True, slots=True)
class Dropped:
    """A variant or run mode that the package does not hold."""

    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what} left out: {self.reason}"


@dataclass(frozen=True, slots=True)
class VariantResult:
    """The outcome for one variant."""

    variant: Variant | None  # its entry in the manifest; None = dropped
    # by run mode, how it reproduces the golden frames
    parity: dict[PrecisionHint, GoldenResult]
    dropped: tuple[Dropped, ...]  # the variant itself, or run modes of it
    drops: AccuracyDrops | None = None  # None = not measured


@dataclass(frozen=True, slots=True)
class VariantEvaluator:
    """Measures the variants of one package on the same photos."""

    folder: Path
    # its draft: thresholds, labels, and the metrics of the torch model
    manifest: Manifest
    photos: Sequence[Photo]
    pairs: GoldenPairs
    # detections of OpenVINO in float32, one for each photo
    expected: Sequence[Detections] = ()

    def open(self, name: VariantName, hint: PrecisionHint) -> Detector:
        """Return a variant, ready to run in one mode.

        Args:
            hint: Arithmetic of the layers that are not quantized (OpenVINO only).
        """
        path, tiles = self.folder / MODEL_FILES[name], self.manifest.tiling()
        match name:
            case VariantName.OPENVINO_FP32 | VariantName.OPENVINO_INT8:
                return tiled(OpenVinoDetector(path, hint), tiles)
            case VariantName.ONNX_FP32 | VariantName.ONNX_INT8:
                return tiled(OnnxDetector(path), tiles)
            case _:
                assert_never(name)

    def evaluate(self, name: VariantName) -> tuple[Metrics, list[Detections]]:
        """Return a variant's metrics and detections on the validation photos.

        What is not quantized is calculated in float32.
        """
        thresholds = self.manifest.thresholds
        found = predict_photos(
            self.open(name, PrecisionHint.F32),
            self.photos,
            len(self.manifest.labels),
            thresholds.iou_threshold,
        )
        metrics = measure(
            found,
            self.photos,
            self.manifest.labels,
            thresholds,
            self.manifest.metrics.split,
        )
        return metrics, found

    def compare(self, metrics: Metrics, found: Sequence[Detections]) -> AccuracyDrops:
        """Return what a variant loses against the trained network.

        Figures that say nothing about other parts still compare two variants: where
        the manifest has none, they are counted on the expected detections.
        """
        manifest, trained = self.manifest, self.manifest.metrics
        if trained.not_measured:
            trained = measure(
                self.expected,
                self.photos,
                manifest.labels,
                manifest.thresholds,
                trained.split,
            )
        return measure_drops(
            trained,
            metrics,
            photos=self.photos,
            expected=self.expected,
            found=found,
            labels=self.manifest.labels,
            thresholds=self.manifest.thresholds,
        )


def unmeasured_variant(folder: Path, name: VariantName) -> Variant:
    """Return the manifest's entry of a variant that has not been measured yet."""
    path = folder / MODEL_FILES[name]
    runtime, precision = name.split("-")
    return Variant.model_validate(
        {
            "model": MODEL_FILES[name],
            "runtime": "openvino" if runtime == "openvino" else "onnxruntime",
            "precision": precision,
            "size_bytes": sum(file.stat().st_size for file in _files(path)),
            "tolerances": {PrecisionHint.F32: STRICT},
        }
    )


def validate_float32(
    evaluator: VariantEvaluator, name: VariantName, metrics: Metrics | None
) -> VariantResult:
    """Return the result of a float32 variant, which must agree with torch.

    Args:
        metrics: On the validation photos; None = only the golden frames are compared.

    Raises:
        PackageError: It does not agree with torch.
    """
    exact = evaluator.open(name, PrecisionHint.F32)
    parity = {
        PrecisionHint.F32: require_parity(
            exact, evaluator.pairs, evaluator.manifest, name
        )
    }
    drops = evaluator.compare(metrics, evaluator.expected) if metrics else None
    reason = drops.refusal(LARGEST_FLOAT32_DROP) if drops else ""
    if reason:
        raise PackageError(
            f"{name}: differs from the trained network.",
            why=reason,
            fix="Report this with the versions of torch, onnx and openvino.",
        )
    result = VariantResult(
        _with_metrics(evaluator, name, metrics, drops), parity, (), drops
    )
    if name is VariantName.ONNX_FP32:
        return result
    return _with_bf16(evaluator, name, result)


def validate_int8(evaluator: VariantEvaluator, name: VariantName) -> VariantResult:
    """Return the result of an INT8 variant; its files are removed if it is dropped."""
    # Golden frames first: a few pictures refuse a variant before all photos are read.
    exact = evaluator.open(name, PrecisionHint.F32)
    measured = measure_tolerance(exact, evaluator.pairs, evaluator.manifest)
    if measured is None:
        return _drop_variant(evaluator, name, OUTSIDE_TOLERANCE)
    metrics, found = evaluator.evaluate(name)
    drops = evaluator.compare(metrics, found)
    if reason := drops.refusal(LARGEST_INT8_DROP):
        return _drop_variant(evaluator, name, reason, drops)
    tolerance, golden = measured
    variant = _with_metrics(evaluator, name, metrics, drops)
    variant = variant.model_copy(update={"tolerances": {PrecisionHint.F32: tolerance}})
    result = VariantResult(variant, {PrecisionHint.F32: golden}, (), drops)
    if name is VariantName.ONNX_INT8:
        return result
    return _with_bf16(evaluator, name, result)


def _with_bf16(
    evaluator: VariantEvaluator, name: VariantName, result: VariantResult
) -> VariantResult:
    """Return the result with bf16 added, measured where this processor has it."""
    variant = result.variant
    if variant is None:
        return result
    bf16 = PrecisionHint.BF16
    if not supports_bf16():  # the line PC may have it: allow what bf16 usually moves
        wider = _wider(variant.tolerances[PrecisionHint.F32], UNMEASURED_BF16)
        return replace(result, variant=_with_bf16_tolerance(variant, wider))
    detector = evaluator.open(name, bf16)
    measured = measure_tolerance(detector, evaluator.pairs, evaluator.manifest)
    if measured is None:
        dropped = Dropped(run_mode_name(name, bf16), OUTSIDE_TOLERANCE)
        return replace(result, dropped=(dropped,))
    tolerance, golden = measured
    parity = {**result.parity, bf16: golden}
    return replace(
        result, variant=_with_bf16_tolerance(variant, tolerance), parity=parity
    )


def _with_bf16_tolerance(variant: Variant, bf16: Tolerance) -> Variant:
    tolerances = {**variant.tolerances, PrecisionHint.BF16: bf16}
    return variant.model_copy(update={"tolerances": tolerances})


def _wider(a: Tolerance, b: Tolerance) -> Tolerance:
    return Tolerance(score=max(a.score, b.score), iou=min(a.iou, b.iou))


def _with_metrics(
    evaluator: VariantEvaluator,
    name: VariantName,
    metrics: Metrics | None,
    drops: AccuracyDrops | None,
) -> Variant:
    unmeasured = evaluator.manifest.metrics
    if metrics and unmeasured.not_measured:
        metrics = metrics.without(unmeasured.unmeasured, unmeasured.not_measured)
    figures: dict[str, object] = {"metrics": metrics}
    if drops:
        figures |= {
            "map_50_drop": round(drops.map_50, 6),
            "map_75_drop": round(drops.map_75, 6),
            "recall_drop": round(drops.recall, 6),
            "overkill_rise": round(drops.overkill, 6),
            "escapes_rise": round(drops.escapes, 6),
            "lost_photos": drops.lost,
        }
    return unmeasured_variant(evaluator.folder, name).model_copy(update=figures)


def _drop_variant(
    evaluator: VariantEvaluator,
    name: VariantName,
    reason: str,
    drops: AccuracyDrops | None = None,
) -> VariantResult:
    """Remove the files of a variant that failed, and return its result."""
    for path in _files(evaluator.folder / MODEL_FILES[name]):
        path.unlink()
    return VariantResult(None, {}, (Dropped(name.value, reason),), drops)


def _files(model: Path) -> list[Path]:
    return [model, model.with_suffix(".bin")] if model.suffix == ".xml" else [model]
