"""Measures a run or a package on a dataset, with the daemon's own code."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.backends import open_detector
from models.detections import Detections
from models.detector import Detector
from models.errors import DatasetError, PackageError
from models.manifest import MANIFEST_NAME, Metrics, Thresholds, VariantName
from models.package import open_package
from models.tiled_detector import tiled
from trainer.data.dataset import Dataset, Photo
from trainer.evaluation.metrics import measure, predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.run import open_run

TORCH = "torch"


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """What is measured.

    Attributes:
        name: Of the run or package.
        variant: ``torch`` or a variant of the package.
        labels: Class names in the order of the scores.
        thresholds: That it was trained or packed with.
        detector: Ready to run.
    """

    name: str
    variant: str
    labels: tuple[str, ...]
    thresholds: Thresholds
    detector: Detector


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome.

    Attributes:
        subject: What was measured.
        metrics: The figures.
        found: Detections, one for each photo.
        photos: What they were measured on, labels in the subject's order.
    """

    subject: EvaluatedModel
    metrics: Metrics
    found: list[Detections]
    photos: tuple[Photo, ...]

    def as_json(self) -> dict[str, object]:
        """Return the figures for machines; values 0..1."""
        return {
            **self.metrics.model_dump(mode="json"),
            "thresholds": self.subject.thresholds.scores,
            "variant": self.subject.variant,
            "labels": list(self.subject.labels),
        }


def open_subject(path: Path, variant: VariantName | None) -> EvaluatedModel:
    """Return what a folder holds: a package, else a run.

    Args:
        path: Folder of a run or a package.
        variant: Of a package; None = ``openvino-fp32``. A run is always torch.

    Raises:
        PackageError: The package is damaged or lacks the variant.
        TrainingError: It is neither.
    """
    if (path / MANIFEST_NAME).exists():
        package = open_package(path)
        chosen = variant or VariantName.OPENVINO_FP32
        manifest = package.manifest
        return EvaluatedModel(
            manifest.name,
            chosen.value,
            manifest.labels,
            manifest.thresholds,
            open_detector(package, chosen),
        )
    run = open_run(path)
    if variant:
        raise PackageError(
            f"{path}: a run has no variant {variant}.",
            why="Variants are made by packing.",
            fix="Leave --variant out, or give a package.",
        )
    record = run.record
    size = record.input_height_px, record.input_width_px
    detector = tiled(TorchDetector(run.model, *size), record.tiles)
    return EvaluatedModel(
        record.name, TORCH, record.labels, record.thresholds, detector
    )


def evaluate(
    subject: EvaluatedModel,
    dataset: Dataset,
    split: str | None,
    on_photo: Callable[[], None] | None = None,
) -> Evaluation:
    """Measure a subject.

    Args:
        subject: From ``open_subject``.
        dataset: To measure on.
        split: Of the dataset; None = ``val`` if there is one, else everything.
        on_photo: Called after each photo.

    Raises:
        DatasetError: No such split, or a class that the subject does not know.
    """
    name, photos = dataset.split(split)
    photos = relabelled(photos, dataset, subject.labels)
    found = predict_photos(
        subject.detector,
        photos,
        len(subject.labels),
        subject.thresholds.iou_threshold,
        on_photo,
    )
    metrics = measure(found, photos, subject.labels, subject.thresholds, name)
    return Evaluation(subject, metrics, found, photos)


def relabelled(
    photos: tuple[Photo, ...], dataset: Dataset, labels: tuple[str, ...]
) -> tuple[Photo, ...]:
    """Return photos whose labels count in another order of class names.

    Args:
        photos: Of the dataset.
        dataset: For its class names.
        labels: Class names in the order wanted.

    Raises:
        DatasetError: A class of the photos is not among them.
    """
    if dataset.labels == labels:
        return photos
    used = {int(label) for photo in photos for label in photo.labels}
    unknown = sorted({dataset.labels[i] for i in used} - set(labels))
    if unknown:
        raise DatasetError(
            f"{dataset.root}: unknown class {', '.join(unknown)}.",
            why=f"The model knows {', '.join(labels)}.",
            fix="Rename the class, or train with this dataset.",
        )
    index = [labels.index(n) if n in labels else -1 for n in dataset.labels]
    order = np.array(index, np.int64)
    return tuple(replace(photo, labels=order[photo.labels]) for photo in photos)
