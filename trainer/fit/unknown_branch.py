"""The class ``unknown`` beside named classes: after the training, from its good parts.

The backbone is the trained one, so that it runs once for both. The good photos that
were trained on fill the memory; the held-out ones state the threshold of all classes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from models.detections import Detections
from models.errors import ConfigError
from models.heat_map import UNKNOWN_LABEL
from models.tiled_detector import tiled
from trainer.data.dataset import Dataset, Photo
from trainer.detectors.base import TrainableDetector
from trainer.detectors.unknown import UnknownDetector, require_named, with_maps
from trainer.detectors.zoo import build_detector
from trainer.evaluation.metrics import predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.options import Recipe, TrainOptions
from trainer.fit.unknown_record import unknown_record
from trainer.run_record import UnknownRecord
from trainer.unknown.fit import fit_memory, require_enough


class Measuring(Protocol):
    """Observes the photos that a memory is made of, or that are measured on."""

    def measuring(self, photos: int) -> Callable[[], None]:
        """Return a function that is called after each photo."""


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """A model and its detections on the photos to measure on."""

    model: TrainableDetector
    labels: tuple[str, ...]
    found: list[Detections]  # one for each photo
    record: UnknownRecord | None = None  # None = all labels are named


def require_unknown(dataset: Dataset, options: TrainOptions) -> None:
    """Refuse, before the training, a class ``unknown`` that cannot be made after it.

    Raises:
        ConfigError: The network has none, or a label has its name.
        DatasetError: Too few good parts to train on.
    """
    network = build_detector(options.detector, 1, options.activation)
    require_named(with_maps(network))
    if UNKNOWN_LABEL in dataset.labels:
        raise ConfigError(
            f"--unknown: {dataset.root} has a class of the name {UNKNOWN_LABEL}.",
            why="The class of what no good part shows has this name.",
            fix="Rename the class in the labels, or leave --unknown out.",
        )
    require_enough(sum(photo.is_good for photo in dataset.for_training()[0]))


def with_unknown(
    model: TrainableDetector,
    dataset: Dataset,
    recipe: Recipe,
    measured: Sequence[Photo],
    observer: Measuring,
) -> MeasuredModel:
    """Return a trained detector with the class ``unknown``, measured again.

    Args:
        model: Trained; its weights are used, and not changed.
        dataset: The good photos that were trained on fill the memory.
        measured: Photos to measure on.
    """
    started_s = time.monotonic()
    good = [photo for photo in dataset.for_training()[0] if photo.is_good]
    size_px = recipe.input_height_px, recipe.input_width_px
    fitted = fit_memory(
        with_maps(model),
        good,
        size_px,
        seed=recipe.seed,
        tiles=recipe.tiles,
        parts=dataset.split_assignment.parts_of(good),
        on_photo=observer.measuring(len(good)),
    )
    seconds = time.monotonic() - started_s
    labels = (*dataset.labels, UNKNOWN_LABEL)
    device = next(model.parameters()).device
    both = UnknownDetector(model, fitted.memory.to(device), len(dataset.labels)).eval()
    detector = tiled(TorchDetector(both, *size_px), recipe.tiles)
    found = predict_photos(
        detector, measured, len(labels), on_photo=observer.measuring(len(measured))
    )
    record = unknown_record(dataset, fitted, recipe, seconds)
    return MeasuredModel(both, labels, found, record)
