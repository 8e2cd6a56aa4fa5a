"""A variant is kept when it has proven itself, and dropped with a reason if not."""

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
from trainer.ship.accuracy_gate import AccuracyDrops, measure_drops
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


@dataclass(frozen=True, slots=True)
class Dropped:
    """A variant or run mode that the package does not hold.

    Attributes:
        what: Its name.
        reason: Why not, one sentence.
    """

    what: str
    reason: str

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.what} left out: {self.reason}"


@dataclass(frozen=True, slots=True)
class VariantResult:
    """What was found out about one variant.

    Attributes:
        variant: Its entry in the manifest; None = dropped.
        parity: Run mode to how it reproduces the golden frames.
        dropped: The variant itself, or run modes of it.
        drops: What it loses, where that was measured.
    """

    variant: Variant | None
    parity: dict[PrecisionHint, GoldenResult]
    dropped: tuple[Dropped, ...]
    drops: AccuracyDrops | None = None


@dataclass(frozen=True, slots=True)
class VariantEvaluator:
    """What all variants of one package are tried with.

    Attributes:
        folder: Of the package that is being made.
        manifest: Its draft: thresholds, labels, and torch's own metrics.
        photos: Validation photos.
        pairs: Golden frames and their pictures.
        expected: What OpenVINO finds in float32, one for each photo.
    """

    folder: Path
    manifest: Manifest
    photos: Sequence[Photo]
    pairs: GoldenPairs
    expected: Sequence[Detections] = ()

    def open(self, name: VariantName, hint: PrecisionHint) -> Detector:
        """Return a variant, ready to run in one mode.

        Args:
            name: Which.
            hint: Arithmetic of what is not quantized (OpenVINO only).
        """
        path, tiles = self.folder / MODEL_FILES[name], self.manifest.tiling()
        match name:
            case VariantName.OPENVINO_FP32 | VariantName.OPENVINO_INT8:
                return tiled(OpenVinoDetector(path, hint), tiles)
            case VariantName.ONNX_FP32 | VariantName.ONNX_INT8:
                return tiled(OnnxDetector(path), tiles)
            case _:
                assert_never(name)

    def look(self, name: VariantName) -> tuple[Metrics, list[Detections]]:
        """Return a variant's figures on the validation photos.

        Args:
            name: Which; calculated in float32 where it is not quantized.
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

        Args:
            metrics: Of the variant.
            found: By the variant, from ``look``.
        """
        return measure_drops(
            self.manifest.metrics,
            metrics,
            photos=self.photos,
            expected=self.expected,
            found=found,
            labels=self.manifest.labels,
            thresholds=self.manifest.thresholds,
        )


def entry(folder: Path, name: VariantName) -> Variant:
    """Return the manifest's entry of a variant that has not been tried yet.

    Args:
        folder: Of the package; holds the variant's files.
        name: Which.
    """
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


def prove_float(
    trial: VariantEvaluator, name: VariantName, metrics: Metrics | None
) -> VariantResult:
    """Return the proof of a float32 variant: it says what torch says.

    Args:
        trial: What to try it with.
        name: Which.
        metrics: On validation photos, where they were measured.

    Raises:
        PackageError: It does not.
    """
    exact = trial.open(name, PrecisionHint.F32)
    parity = {
        PrecisionHint.F32: require_parity(exact, trial.pairs, trial.manifest, name)
    }
    drops = trial.compare(metrics, trial.expected) if metrics else None
    reason = drops.refusal() if drops else ""
    if reason:
        raise PackageError(
            f"{name}: differs from the trained network.",
            why=reason,
            fix="Report this with the versions of torch, onnx and openvino.",
        )
    proof = VariantResult(_measured(trial, name, metrics, drops), parity, (), drops)
    if name is VariantName.ONNX_FP32:
        return proof
    return _with_bf16(trial, name, proof)


def prove_int8(trial: VariantEvaluator, name: VariantName) -> VariantResult:
    """Return the proof of an INT8 variant; its files are removed if dropped.

    Args:
        trial: What to try it with.
        name: Which.
    """
    metrics, found = trial.look(name)
    drops = trial.compare(metrics, found)
    if reason := drops.refusal():
        return _drop(trial, name, reason, drops)
    exact = trial.open(name, PrecisionHint.F32)
    measured = measure_tolerance(exact, trial.pairs, trial.manifest)
    if measured is None:
        return _drop(trial, name, "it does not reproduce the golden frames.", drops)
    tolerance, result = measured
    variant = _measured(trial, name, metrics, drops)
    variant = variant.model_copy(update={"tolerances": {PrecisionHint.F32: tolerance}})
    proof = VariantResult(variant, {PrecisionHint.F32: result}, (), drops)
    if name is VariantName.ONNX_INT8:
        return proof
    return _with_bf16(trial, name, proof)


def _with_bf16(
    trial: VariantEvaluator, name: VariantName, proof: VariantResult
) -> VariantResult:
    """Return the proof with the bf16 run mode tried, where this processor has it."""
    variant = proof.variant
    if variant is None:
        return proof
    bf16 = PrecisionHint.BF16
    if not supports_bf16():
        wider = _wider(variant.tolerances[PrecisionHint.F32], UNMEASURED_BF16)
        return replace(proof, variant=_allowing(variant, wider))
    detector = trial.open(name, bf16)
    measured = measure_tolerance(detector, trial.pairs, trial.manifest)
    if measured is None:
        reason = "it does not reproduce the golden frames."
        dropped = Dropped(run_mode_name(name, bf16), reason)
        return replace(proof, dropped=(dropped,))
    tolerance, result = measured
    parity = {**proof.parity, bf16: result}
    return replace(proof, variant=_allowing(variant, tolerance), parity=parity)


def _allowing(variant: Variant, bf16: Tolerance) -> Variant:
    """Return the variant with bf16 among its run modes."""
    tolerances = {**variant.tolerances, PrecisionHint.BF16: bf16}
    return variant.model_copy(update={"tolerances": tolerances})


def _wider(a: Tolerance, b: Tolerance) -> Tolerance:
    """Return a tolerance that allows what either does."""
    return Tolerance(score=max(a.score, b.score), iou=min(a.iou, b.iou))


def _measured(
    trial: VariantEvaluator,
    name: VariantName,
    metrics: Metrics | None,
    drops: AccuracyDrops | None,
) -> Variant:
    """Return the manifest's entry with its figures."""
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
    return entry(trial.folder, name).model_copy(update=figures)


def _drop(
    trial: VariantEvaluator, name: VariantName, reason: str, drops: AccuracyDrops
) -> VariantResult:
    """Return the proof of a variant that failed, and remove its files."""
    for path in _files(trial.folder / MODEL_FILES[name]):
        path.unlink()
    return VariantResult(None, {}, (Dropped(name.value, reason),), drops)


def _files(model: Path) -> list[Path]:
    """Return the files that a variant consists of."""
    return [model, model.with_suffix(".bin")] if model.suffix == ".xml" else [model]
