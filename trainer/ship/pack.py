"""Packing: from a finished run to the folder that the line PC gets.

Export, golden frames, then every variant is made, measured on the validation photos
with the daemon's own code, compared with the golden frames in each of its run modes,
and kept or dropped. What the package holds has been proven here; which of it is the
fastest, the line PC finds out itself.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from models.detections import Detections
from models.errors import DatasetError
from models.files import sha256_of
from models.golden import GoldenResult, read_golden
from models.manifest import Manifest, Metrics, PrecisionHint, VariantName
from models.package import Package, list_files, open_package, write_manifest
from models.tiled_detector import tiled
from trainer.data.dataset import Dataset, Photo
from trainer.evaluation.torch_detector import TorchDetector
from trainer.run import Run, RunRecord
from trainer.ship import licences, reference, sbom
from trainer.ship.calibration import (
    Calibration,
    choose_calibration,
    own_photos,
)
from trainer.ship.export import convert_openvino, export_onnx
from trainer.ship.golden_frames import choose_golden, write_golden
from trainer.ship.int8 import make_int8
from trainer.ship.manifest_draft import draft_manifest, model_name
from trainer.ship.metadata import model_info
from trainer.ship.output_folder import whole_folder
from trainer.ship.pack_report import PackReport
from trainer.ship.parity import run_mode_name
from trainer.ship.speed import measure_latency
from trainer.ship.variants import (
    MODEL_FILES,
    VariantEvaluator,
    VariantResult,
    entry,
    prove_float,
)

logger = logging.getLogger(__name__)

OnStage = Callable[[str], None]


def pack_run(
    run: Run,
    dataset: Dataset,
    out: Path,
    *,
    on_progress: OnStage,
    int8: bool = True,
    name: str | None = None,
    calibration_folder: Path | None = None,
) -> PackReport:
    """Make a package of a finished run.

    Args:
        run: From ``graftline train``.
        dataset: The one that the run was trained with.
        out: Folder of the package; an older package there is replaced.
        on_progress: Told of each step in one short sentence.
        int8: Whether to make the INT8 variants.
        name: Of the model; None = made from the run's name.
        calibration_folder: Photos of the run to calibrate INT8 with; None = a
            sample of the training photos.

    Raises:
        ConfigError: The name is not one.
        DatasetError: Not the dataset of the run, or calibration photos that are
            not of its training set, or too few.
        PackageError: An exported model does not say what the trained network says.
        TrainingError: ``out`` cannot be written, or is something else.
    """
    model = model_name(name, run.record)
    photos, held_out = _photos(run.record, dataset)
    if calibration_folder:
        photos = own_photos(calibration_folder, photos)
    calibration = _calibration(run.record, photos) if int8 else None
    with whole_folder(out) as folder:
        manifest = _export(run, folder, model, calibration, on_progress)
        trial, found, metrics = _try_out(run, folder, manifest, held_out, on_progress)
        proofs = {
            VariantName.OPENVINO_FP32: prove_float(
                trial, VariantName.OPENVINO_FP32, metrics
            ),
            VariantName.ONNX_FP32: prove_float(trial, VariantName.ONNX_FP32, None),
        }
        if calibration:
            proofs |= make_int8(trial, calibration, on_progress)
        _write_papers(run.record, folder, manifest, held_out, found)
        kept = {key: proof.variant for key, proof in proofs.items() if proof.variant}
        on_progress("measuring how long each variant takes here")
        latency_ms = measure_latency(
            {key: trial.open(key, PrecisionHint.F32) for key in kept}
        )
        update = {"variants": kept, "files": list_files(folder)}
        write_manifest(folder, manifest.model_copy(update=update))
    package = open_package(out)
    dropped = tuple(entry for proof in proofs.values() for entry in proof.dropped)
    logger.info(
        "packed name=%s build=%d variants=%s", model, manifest.build, ",".join(kept)
    )
    return PackReport(package, dropped, _parity(proofs), latency_ms)


def _photos(
    record: RunRecord, dataset: Dataset
) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Return the photos that the run trained on, and those it was measured on."""
    if dataset.sha256 != record.dataset_sha256:
        raise DatasetError(
            f"{dataset.root}: not the dataset that this run was trained with.",
            why=f"Content {dataset.sha256[:12]}…, trained with "
            f"{record.dataset_sha256[:12]}… from {record.dataset}.",
            fix="Give that dataset, or train again with this one.",
        )
    return dataset.for_training()


def _calibration(record: RunRecord, photos: tuple[Photo, ...]) -> Calibration:
    """Return the photos that INT8 is calibrated with."""
    return choose_calibration(
        photos,
        seed=record.seed,
        input_height_px=record.input_height_px,
        input_width_px=record.input_width_px,
        tiles=record.tiles,
    )


def _export(
    run: Run,
    folder: Path,
    name: str,
    calibration: Calibration | None,
    on_progress: OnStage,
) -> Manifest:
    """Write the float32 models and return the draft of the manifest."""
    on_progress("exporting to ONNX and OpenVINO")
    info = model_info(run.record.labels, run.record.thresholds)
    onnx_path = folder / MODEL_FILES[VariantName.ONNX_FP32]
    anchors = export_onnx(
        run.model,
        onnx_path,
        input_height_px=run.record.input_height_px,
        input_width_px=run.record.input_width_px,
        info=info,
    )
    (folder / "openvino").mkdir()
    convert_openvino(onnx_path, folder / MODEL_FILES[VariantName.OPENVINO_FP32], info)
    return draft_manifest(
        run.record,
        name=name,
        now=datetime.now(UTC),
        anchors=anchors,
        calibration=calibration.record() if calibration else None,
        variants={
            key: entry(folder, key)
            for key in (VariantName.OPENVINO_FP32, VariantName.ONNX_FP32)
        },
    )


def _try_out(
    run: Run,
    folder: Path,
    manifest: Manifest,
    photos: tuple[Photo, ...],
    on_progress: OnStage,
) -> tuple[VariantEvaluator, list[Detections], Metrics]:
    """Measure OpenVINO in float32 and record the golden frames from torch."""
    on_progress(f"measuring {VariantName.OPENVINO_FP32} on {len(photos)} photos")
    before = VariantEvaluator(folder, manifest, photos, [])
    metrics, found = before.look(VariantName.OPENVINO_FP32)
    chosen = choose_golden(photos, found, manifest.score_thresholds())
    golden = [photos[index] for index in chosen]
    on_progress(f"recording {len(golden)} golden frames")
    size = manifest.input.height_px, manifest.input.width_px
    torch_detector = tiled(TorchDetector(run.model, *size), manifest.tiling())
    write_golden(folder, golden, torch_detector, manifest.labels, manifest.thresholds)
    listed = manifest.model_copy(update={"files": list_files(folder)})
    pairs = read_golden(Package(folder, listed, sha256=""))
    return VariantEvaluator(folder, manifest, photos, pairs, found), found, metrics


def _write_papers(
    record: RunRecord,
    folder: Path,
    manifest: Manifest,
    photos: tuple[Photo, ...],
    found: list[Detections],
) -> None:
    """Write what people and monitors read: statistics, bill of materials, licences."""
    scores, tiles = manifest.thresholds.scores, manifest.tiling()
    size_px = manifest.input.height_px, manifest.input.width_px
    height_px, width_px = tiles.picture_size_px if tiles else size_px
    statistics = reference.measure_reference(
        photos,
        found,
        split=manifest.metrics.split,
        thresholds={label: scores[label] for label in manifest.labels},
        input_height_px=height_px,
        input_width_px=width_px,
    )
    (folder / reference.FILE).write_text(statistics.model_dump_json(indent=1) + "\n")
    sha256 = sha256_of(folder / MODEL_FILES[VariantName.ONNX_FP32])
    bill = sbom.bill_of_materials(manifest, sha256)
    (folder / sbom.FILE).write_text(bill, "utf-8")
    text = licences.licences_text(record.detector, record.pretrained)
    (folder / licences.FILE).write_text(text, "utf-8")


def _parity(proofs: dict[VariantName, VariantResult]) -> dict[str, GoldenResult]:
    """Return the parity of all run modes that were tried."""
    return {
        run_mode_name(name, hint): result
        for name, proof in proofs.items()
        for hint, result in proof.parity.items()
    }
