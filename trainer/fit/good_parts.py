"""A run from good parts alone: its only class is ``unknown``.

Nothing is trained: the backbone stays as it was pretrained, and the good photos fill
the memory. All good photos state the threshold, each scored by a memory without it.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from models.detections import Detections
from models.heat_map import UNKNOWN_LABEL
from models.manifest import PromiseBasis
from models.tiled_detector import tiled
from trainer.data.dataset import Dataset, Photo
from trainer.detectors.names import ScoreRule
from trainer.detectors.unknown import UnknownDetector, with_maps
from trainer.detectors.weights import TransferReport
from trainer.detectors.zoo import build_detector, load_weights
from trainer.evaluation.metrics import measure, predict_photos
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.evaluation.thresholds.parts import PhotoOrigins
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.options import Recipe, TrainOptions, resolve
from trainer.fit.provenance import (
    git_revision,
    keep_split,
    library_versions,
    this_machine,
)
from trainer.fit.recipe import Observer, Outcome
from trainer.fit.unknown_record import completed, unknown_record
from trainer.run import write_run
from trainer.run_record import RunRecord
from trainer.unknown.fit import FittedMemory, fit_memory


def train_on_good_parts(
    dataset: Dataset, options: TrainOptions, out: Path, observer: Observer
) -> Outcome:
    """Make a run whose only class is ``unknown``.

    Args:
        dataset: Checked; without any label.
        out: Folder of the run; exists.

    Raises:
        ConfigError: The network has no maps that a memory can be made of.
        TrainingError: Weights, or the output folder.
    """
    started_s = time.monotonic()
    photos, held_out = dataset.for_training()
    # Nothing is trained, so no batch has to fit into memory.
    recipe = resolve(replace(options, batch=1, epochs=1), photos)
    recipe = replace(recipe, epochs=0, mines=False)
    network = build_detector(recipe.detector, 1, recipe.activation)
    transfer = load_weights(network, recipe.weights)
    keep_split(out, dataset.split_assignment)
    size_px = recipe.input_height_px, recipe.input_width_px
    fitted = fit_memory(
        with_maps(network),
        photos,
        size_px,
        seed=recipe.seed,
        tiles=recipe.tiles,
        parts=dataset.split_assignment.parts_of(photos),
        on_photo=observer.measuring(len(photos)),
    )
    seconds = time.monotonic() - started_s
    model = UnknownDetector(network, fitted.memory, 0).eval()
    detector = tiled(TorchDetector(model, *size_px), recipe.tiles)
    found = predict_photos(
        detector, held_out, 1, on_photo=observer.measuring(len(held_out))
    )
    measured = (held_out, found)
    record = _record(dataset, options, out, recipe, transfer, fitted, measured, seconds)
    record = completed(record, dataset, model, measured, recipe, observer.measuring)
    return Outcome(write_run(out, record, model), found, held_out)


def _record(
    dataset: Dataset,
    options: TrainOptions,
    out: Path,
    recipe: Recipe,
    transfer: TransferReport | None,
    fitted: FittedMemory,
    measured: tuple[tuple[Photo, ...], list[Detections]],
    seconds: float,
) -> RunRecord:
    labels, (held_out, found) = (UNKNOWN_LABEL,), measured
    good = fitted.good
    split = "val" if dataset.splits.get("val") else "held-out"
    scored = (*good.photos, *held_out)
    thresholds = choose_thresholds(
        [*as_detections(good.photos, good.scores), *found],
        scored,
        labels,
        "good",
        options.limit,
        origins=PhotoOrigins.of(dataset.split_assignment, scored, ()),
        basis=PromiseBasis.FOLDS,
        unknown_label=UNKNOWN_LABEL,
    )
    return RunRecord(
        name=out.resolve().name,
        detector=recipe.detector,
        activation=recipe.activation,
        score_rule=ScoreRule.CLASS_SHARE,
        labels=labels,
        input_height_px=recipe.input_height_px,
        input_width_px=recipe.input_width_px,
        tiles=recipe.tiles,
        seed=recipe.seed,
        recipe=asdict(recipe),
        pretrained=recipe.weights,
        pretrained_sha256=transfer.sha256 if transfer else None,
        dataset=str(dataset.root.resolve()),
        dataset_sha256=dataset.sha256,
        dataset_images=dataset.photo_count,
        versions=library_versions(),
        seconds=seconds,
        thresholds=thresholds,
        metrics=measure(found, held_out, labels, thresholds, split),
        curve=(),
        unknown=unknown_record(dataset, fitted, recipe, seconds),
        machine=this_machine(),
        git_revision=git_revision(),
        split=dataset.split_assignment.summary(),
    )


def as_detections(photos: Sequence[Photo], scores: Sequence[float]) -> list[Detections]:
    """Return one detection of ``unknown`` on each photo, around all of it."""
    return [
        Detections(
            np.array([[0, 0, photo.width_px, photo.height_px]], np.float32),
            np.array([score], np.float32),
            np.zeros(1, np.int64),
        )
        for photo, score in zip(photos, scores, strict=True)
    ]
