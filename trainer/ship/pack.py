"""Packing: from a finished run to the package for the line PC.

After export and golden frames every variant is made, measured on the validation photos
with the code of the daemon, compared with the golden frames in each of its run modes,
and kept or dropped. All that the package holds has passed here. Which variant is the
fastest depends on the processor: the line PC measures it.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from models.counted import counted
from models.detections import Detections
from models.files import sha256_of
from models.golden import GoldenResult, read_golden
from models.manifest import LinePcBudget, Manifest, Metrics, PrecisionHint, VariantName
from models.package import Package, list_files, open_package, write_manifest
from models.tiled_detector import tiled
from trainer.data.dataset import Dataset, Photo
from trainer.data.outputs import refuse_inside
from trainer.evaluation.part import measured_part
from trainer.evaluation.torch_detector import TorchDetector
from trainer.run import Run
from trainer.run_record import RunRecord
from trainer.ship import licences, reference, sbom
from trainer.ship.calibration import Calibration, choose_calibration, own_photos
from trainer.ship.disturbed_frames import disturbed_frames
from trainer.ship.export import convert_openvino, export_onnx
from trainer.ship.golden_frames import choose_golden, write_golden
from trainer.ship.int8 import make_int8
from trainer.ship.labelled_boxes import measure_labelled_boxes
from trainer.ship.manifest_draft import draft_manifest, model_name
from trainer.ship.metadata import model_info
from trainer.ship.other_dataset import other_dataset
from trainer.ship.output_folder import whole_folder
from trainer.ship.pack_report import PackReport
from trainer.ship.parity import run_mode_name
from trainer.ship.speed import measure_latency
from trainer.ship.variants import (
    MODEL_FILES,
    VariantEvaluator,
    VariantResult,
    unmeasured_variant,
    validate_float32,
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
    budget: LinePcBudget | None = None,
) -> PackReport:
    """Make a package of a finished run.

    Args:
        dataset: The one that the run was trained with.
        out: Folder of the package; an older package there is replaced.
        int8: Whether to make the INT8 variants.
        name: Name of the model; None = made from the run's name.
        calibration_folder: Photos of the run to calibrate INT8 with; None = a
            sample of the training photos.
        budget: What the package may need on a line PC; None = no limits.

    Raises:
        ConfigError: The name is not valid.
        DatasetError: Not the dataset of the run, or calibration photos that are
            not of its training set, or too few.
        PackageError: An exported model does not agree with the trained network.
        TrainingError: ``out`` lies in the dataset, cannot be written, or holds
            something other than a package.
    """
    refuse_inside(dataset.root, out, "--out")
    model = model_name(name, run.record)
    photos, held_out = _photos(run, dataset)
    if calibration_folder:
        photos = own_photos(calibration_folder, photos)
    calibration = _calibration(run.record, photos) if int8 else None
    # The exported network, twice; the rest is smaller.
    weights = sum(t.numel() * t.element_size() for t in run.model.state_dict().values())
    with whole_folder(out, [weights, weights]) as folder:
        manifest = _export(run, folder, model, calibration, on_progress)
        evaluator, found, metrics = _evaluate_float32(
            run, folder, manifest, held_out, on_progress
        )
        results = {
            VariantName.OPENVINO_FP32: validate_float32(
                evaluator, VariantName.OPENVINO_FP32, metrics
            ),
            VariantName.ONNX_FP32: validate_float32(
                evaluator, VariantName.ONNX_FP32, None
            ),
        }
        if calibration:
            results |= make_int8(evaluator, calibration, on_progress)
        _write_documents(run.record, folder, manifest, held_out, found)
        kept = {
            key: result.variant for key, result in results.items() if result.variant
        }
        on_progress("measuring how long each variant takes here")
        latency_ms = measure_latency(
            {key: evaluator.open(key, PrecisionHint.F32) for key in kept}
        )
        update = {
            "variants": kept,
            "labelled_boxes": measure_labelled_boxes(
                dataset.photos, manifest.labels, found
            ),
            "budget": budget,
            "files": list_files(folder),
        }
        write_manifest(folder, manifest.model_copy(update=update))
    package = open_package(out)
    dropped = tuple(one for result in results.values() for one in result.dropped)
    logger.info(
        "packed name=%s build=%d variants=%s", model, manifest.build, ",".join(kept)
    )
    return PackReport(package, dropped, _parity(results), latency_ms)


def _photos(run: Run, dataset: Dataset) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Return the photos that the run trained on, and those it was measured on."""
    record = run.record
    if dataset.sha256 != record.dataset_sha256:
        raise other_dataset(run.folder, record, dataset)
    trained_on, held_out = dataset.for_training()
    part = record.schedule.final_photos if record.schedule else 0
    return trained_on, measured_part(held_out, part)


def _calibration(record: RunRecord, photos: tuple[Photo, ...]) -> Calibration:
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
            key: unmeasured_variant(folder, key)
            for key in (VariantName.OPENVINO_FP32, VariantName.ONNX_FP32)
        },
    )


def _evaluate_float32(
    run: Run,
    folder: Path,
    manifest: Manifest,
    photos: tuple[Photo, ...],
    on_progress: OnStage,
) -> tuple[VariantEvaluator, list[Detections], Metrics]:
    """Measure OpenVINO in float32 and record the golden frames with torch."""
    on_progress(
        f"measuring {VariantName.OPENVINO_FP32} on {counted(len(photos), 'photo')}"
    )
    evaluator = VariantEvaluator(folder, manifest, photos, [])
    metrics, found = evaluator.evaluate(VariantName.OPENVINO_FP32)
    chosen = choose_golden(photos, found, manifest.score_thresholds())
    golden = [photos[index] for index in chosen]
    on_progress(f"recording {len(golden)} golden frames")
    size = manifest.input.height_px, manifest.input.width_px
    torch_detector = tiled(TorchDetector(run.model, *size), manifest.tiling())
    disturbed = disturbed_frames(photos, run.record.seed) if run.record.unknown else []
    write_golden(
        folder,
        golden,
        torch_detector,
        manifest.labels,
        manifest.thresholds,
        disturbed,
    )
    listed = manifest.model_copy(update={"files": list_files(folder)})
    pairs = read_golden(Package(folder, listed, sha256=""))
    return replace(evaluator, pairs=pairs, expected=found), found, metrics


def _write_documents(
    record: RunRecord,
    folder: Path,
    manifest: Manifest,
    photos: tuple[Photo, ...],
    found: list[Detections],
) -> None:
    tiles = manifest.tiling()
    size_px = manifest.input.height_px, manifest.input.width_px
    height_px, width_px = tiles.picture_size_px if tiles else size_px
    statistics = reference.measure_reference(
        photos,
        found,
        split=manifest.metrics.split,
        labels=manifest.labels,
        thresholds=manifest.thresholds,
        input_height_px=height_px,
        input_width_px=width_px,
    )
    (folder / reference.FILE).write_text(statistics.model_dump_json(indent=1) + "\n")
    sha256 = sha256_of(folder / MODEL_FILES[VariantName.ONNX_FP32])
    bill = sbom.bill_of_materials(manifest, sha256)
    (folder / sbom.FILE).write_text(bill, "utf-8")
    text = licences.licences_text(record.detector, record.pretrained)
    (folder / licences.FILE).write_text(text, "utf-8")


def _parity(results: dict[VariantName, VariantResult]) -> dict[str, GoldenResult]:
    return {
        run_mode_name(name, hint): golden
        for name, result in results.items()
        for hint, golden in result.parity.items()
    }
