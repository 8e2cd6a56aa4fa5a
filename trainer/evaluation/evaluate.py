"""Measures a run or a package on a dataset, with the daemon's own code."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.backends import open_detector
from models.detections import Detections
from models.detector import Detector
from models.errors import DatasetError, PackageError
from models.golden import read_golden_set
from models.heat_map import UNKNOWN_LABEL
from models.manifest import MANIFEST_NAME, Metrics, Thresholds, VariantName
from models.package import open_package, package_notices
from models.tiled_detector import tiled
from trainer.data.dataset import Dataset, Photo
from trainer.evaluation.metrics import measure, predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.run import open_run

TORCH = "torch"


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A run or a package, opened for evaluation."""

    name: str  # as in the run's record or the manifest
    variant: str  # `torch`, or a variant of the package
    labels: tuple[str, ...]  # class names in the order of the scores
    thresholds: Thresholds
    detector: Detector
    dataset_sha256: str = ""  # photos and labels that it was trained with
    notices: tuple[str, ...] = ()  # what a person should know of the package
    bit_depth: int | None = None  # of the photos that it was trained on, above 8 bits
    # sentences of a run about the good parts that its class unknown was learned from
    good_notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of a model on photos."""

    model: EvaluatedModel
    metrics: Metrics  # at the model's own thresholds
    found: list[Detections]  # detections, one for each photo
    photos: tuple[Photo, ...]  # labels in the order of the model's class names
    # classes of the dataset that the model lacks; none of them has a box on the photos
    unknown_labels: tuple[str, ...] = ()

    @property
    def labels_without_boxes(self) -> tuple[str, ...]:
        """Classes of the model without a labelled box on the photos: not measured."""
        shown = {int(label) for photo in self.photos for label in photo.labels}
        names = enumerate(self.model.labels)
        return tuple(name for index, name in names if index not in shown)

    def label_notes(self) -> Iterator[str]:
        """Yield a sentence on each class that dataset and model do not share."""
        missing = self.labels_without_boxes
        if len(missing) == len(self.model.labels) > 1:
            yield (
                "none of these photos has a labelled box: how well defects are found "
                "is not measured"
            )
            missing = ()
        if any(photo.is_bad for photo in self.photos):
            # Their parts are counted; no box says where `unknown` should be.
            missing = tuple(name for name in missing if name != UNKNOWN_LABEL)
        for name in missing:
            yield (
                f"class {name!r} of the model has no labelled box on these photos: how "
                "well it is found is not measured"
            )
        for name in self.unknown_labels:
            yield (
                f"class {name!r} of the dataset is not a class of the model; it has no "
                "box on these photos"
            )

    def as_json(self) -> dict[str, object]:
        """Return the figures for machines; shares 0..1."""
        return {
            **self.metrics.model_dump(mode="json"),
            "thresholds": self.model.thresholds.scores,
            "variant": self.model.variant,
            "labels": list(self.model.labels),
            "labels_without_boxes": list(self.labels_without_boxes),
            "unknown_labels": list(self.unknown_labels),
        }


def open_model(path: Path, variant: VariantName | None) -> EvaluatedModel:
    """Open a package, or else a run.

    Args:
        path: A folder with a manifest is a package.
        variant: None = ``openvino-fp32`` of a package. A run is always torch.

    Raises:
        PackageError: The package is damaged or lacks the variant.
        TrainingError: The folder is neither.
    """
    if (path / MANIFEST_NAME).exists():
        package = open_package(path)
        read_golden_set(package)  # refuses thresholds that were changed
        chosen = variant or VariantName.OPENVINO_FP32
        manifest = package.manifest
        return EvaluatedModel(
            manifest.name,
            chosen.value,
            manifest.labels,
            manifest.thresholds,
            open_detector(package, chosen),
            manifest.lineage.dataset_sha256,
            tuple(package_notices(package)),
            manifest.input.bit_depth,
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
        record.name,
        TORCH,
        record.labels,
        record.thresholds,
        detector,
        record.dataset_sha256,
        bit_depth=record.bit_depth,
        good_notes=record.unknown.notes if record.unknown else (),
    )


def evaluate(
    model: EvaluatedModel,
    dataset: Dataset,
    split: str | None,
    on_photo: Callable[[], None] | None = None,
) -> Evaluation:
    """Measure a model on a split of a dataset.

    Args:
        dataset: Its classes may be in another order than the model's.
        split: None = ``val`` if there is one, else everything. Photos of ``bad/`` are
            measured with each.

    Raises:
        DatasetError: No such split, or a class that the model does not know.
    """
    name, photos = dataset.measured(split)
    photos = relabelled(photos, dataset, model.labels)
    found = predict_photos(
        model.detector,
        photos,
        len(model.labels),
        model.thresholds.iou_threshold,
        on_photo,
    )
    metrics = measure(found, photos, model.labels, model.thresholds, name)
    unknown = tuple(name for name in dataset.labels if name not in model.labels)
    return Evaluation(model, metrics, found, photos, unknown)


def relabelled(
    photos: tuple[Photo, ...], dataset: Dataset, labels: tuple[str, ...]
) -> tuple[Photo, ...]:
    """Return photos with label indices into another list of class names.

    Args:
        dataset: Its class names are what the indices of the photos mean.
        labels: Class names that the new indices mean.

    Raises:
        DatasetError: The photos show a class that is not in ``labels``.
    """
    if dataset.labels == labels:
        return photos
    used = {int(label) for photo in photos for label in photo.labels}
    unknown = sorted({dataset.labels[i] for i in used} - set(labels))
    if unknown:
        raise DatasetError(
            f"{dataset.root}: unknown class {', '.join(unknown)}.",
            why=f"The model knows {', '.join(labels)}.",
            fix="Rename the class, name a split without it with --split, or train "
            "with this dataset.",
        )
    # -1 is never read: a class without an index in `labels` has no box (see above)
    index = [labels.index(n) if n in labels else -1 for n in dataset.labels]
    order = np.array(index, np.int64)
    return tuple(replace(photo, labels=order[photo.labels]) for photo in photos)
