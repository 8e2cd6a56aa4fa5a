"""The one recipe: from photos and a few wishes to a finished run.

What nobody asked for is chosen from the data: the input size from the photos, the
number of epochs from how many there are. What was chosen is written into the run.
Then, in order: data, network, weights grafted on, the loop, thresholds and metrics on
photos that were not trained on.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models.detections import Detections
from trainer.data.dataset import Dataset, Photo
from trainer.data.transforms import EpochSampler, TrainingPhotos
from trainer.detectors.base import Architecture
from trainer.detectors.weights import TransferReport
from trainer.detectors.yolox_blocks import Activation
from trainer.detectors.zoo import build_detector, fits_statistics, load_weights
from trainer.fit.checkpoint import cannot_resume, load_checkpoint, save_checkpoint
from trainer.fit.distributed import require_share
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    StepReport,
    Training,
    make_optimizer,
    train_one_epoch,
)
from trainer.fit.frozen_trunk import Freeze, freeze_trunk, make_batches
from trainer.fit.shared_norm import share_norms
from trainer.fit.team import ALONE, Team
from trainer.judge.metrics import measure, predict_photos
from trainer.judge.thresholds import choose_thresholds
from trainer.judge.torch_detector import TorchDetector
from trainer.run import CHECKPOINT_NAME, CurvePoint, Run, RunRecord, write_run

LARGEST_INPUT_PX = 640
SIZE_MULTIPLE_PX = 32
PHOTOS_TO_SEE = 6000  # 300 photos, 20 epochs; measured: bench/results/boards
FEWEST_EPOCHS, MOST_EPOCHS = 12, 100
BATCH = 8
LEARNING_RATE = 2e-3  # AdamW, measured in the prototype
WEIGHT_DECAY = 0.05
WARMUP_STEPS = 50
WORKERS_FOR_GPU = 8
LIBRARIES = ("torch", "torchvision", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user asked for; None = chosen from the data.

    Attributes:
        weights: Name, file or ``none``; None = the shipped checkpoint.
        detector: Architecture; None = the one that the weights are of.
        activation: Non-linearity; None = Hardswish, which INT8 likes.
        size_px: Longer side of the input.
        epochs: Passes over the photos.
        batch: Photos a step.
        learning_rate: Peak.
        frozen_norms: Keep the weights' batch statistics; None = where they still hold.
        seed: Of everything random.
        freeze: What is not trained.
    """

    weights: str
    detector: Architecture = Architecture.YOLOX_NANO
    activation: Activation = Activation.HARDSWISH
    size_px: int | None = None
    epochs: int | None = None
    batch: int = BATCH
    learning_rate: float = LEARNING_RATE
    frozen_norms: bool | None = None
    seed: int = 0
    freeze: Freeze = Freeze.NOTHING


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a training, resolved.

    Attributes:
        detector: Architecture.
        activation: Non-linearity.
        weights: Where training starts from.
        input_height_px: Of the graph's input.
        input_width_px: Of the graph's input.
        epochs: Passes over the photos.
        batch: Photos a step.
        learning_rate: Peak of the cosine.
        weight_decay: Of convolution weights.
        warmup_steps: Linear warm-up.
        frozen_norms: Batch statistics stay those of the weights; always so in
            batches of one photo, which have none where a map is one pixel.
        seed: Of everything random.
        freeze: What is not trained.
    """

    detector: Architecture
    activation: Activation
    weights: str
    input_height_px: int
    input_width_px: int
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    frozen_norms: bool
    seed: int
    freeze: Freeze = Freeze.NOTHING


class Observer(Protocol):
    """Who watches a training: a progress bar, or a test."""

    def begin(
        self, recipe: Recipe, transfer: TransferReport | None, steps: int
    ) -> None:
        """Training starts or goes on."""

    def step(self, epoch: int, report: StepReport) -> None:
        """One step is done."""

    def measuring(self, photos: int) -> Callable[[], None]:
        """Validation starts; the returned function is called after each photo."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished training and what it said of the validation photos.

    Attributes:
        run: On disk and in memory.
        found: Detections, one for each validation photo.
        photos: The validation photos.
    """

    run: Run
    found: list[Detections]
    photos: tuple[Photo, ...]


def resolve(wishes: Wishes, photos: tuple[Photo, ...]) -> Recipe:
    """Return the recipe for the photos at hand.

    Args:
        wishes: What was asked for.
        photos: To train on.
    """
    height, width = input_size(photos, wishes.size_px)
    defective = sum(not photo.is_good for photo in photos)
    epochs = wishes.epochs or round(PHOTOS_TO_SEE / max(1, len(photos)))
    if wishes.epochs is None:
        epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, epochs))
    batch = min(wishes.batch, max(1, defective))
    frozen_norms = wishes.frozen_norms
    if frozen_norms is None:
        frozen_norms = fits_statistics(wishes.weights, wishes.activation)
    return Recipe(
        wishes.detector,
        wishes.activation,
        wishes.weights,
        height,
        width,
        epochs,
        batch,
        wishes.learning_rate,
        WEIGHT_DECAY,
        WARMUP_STEPS,
        frozen_norms or batch == 1,
        wishes.seed,
        wishes.freeze,
    )


def input_size(photos: tuple[Photo, ...], size_px: int | None) -> tuple[int, int]:
    """Return height and width of the input: the photos' shape, not enlarged.

    Args:
        photos: To train on.
        size_px: Longer side; None = that of the photos, at most 640.
    """
    height = float(np.median([photo.height_px for photo in photos]))
    width = float(np.median([photo.width_px for photo in photos]))
    longer = max(height, width)
    side = size_px or min(LARGEST_INPUT_PX, longer)
    sides = [
        max(1, math.ceil(edge * side / longer / SIZE_MULTIPLE_PX)) * SIZE_MULTIPLE_PX
        for edge in (height, width)
    ]
    return sides[0], sides[1]


def begin_training(
    recipe: Recipe, labels: tuple[str, ...], steps_per_epoch: int
) -> tuple[Training, TransferReport | None]:
    """Return a network with its grafted weights, ready for the first step.

    Args:
        recipe: Resolved.
        labels: Class names.
        steps_per_epoch: For the schedule.

    Raises:
        TrainingError: The weights are not to be had, or do not fit.
    """
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_detector(recipe.detector, len(labels), recipe.activation)
    transfer = load_weights(model, recipe.weights)
    if recipe.freeze is Freeze.TRUNK:
        freeze_trunk(model, recipe.weights, recipe.activation)
    model.to(device).to(memory_format=torch.channels_last)
    steps = recipe.epochs * steps_per_epoch
    schedule = Schedule(recipe.learning_rate, steps, recipe.warmup_steps)
    optimizer = make_optimizer(model, recipe.learning_rate, recipe.weight_decay)
    average = MovingAverage(model)
    training = Training(
        model,
        optimizer,
        average,
        schedule,
        device,
        frozen_norms=recipe.frozen_norms,
        frozen_trunk=recipe.freeze is Freeze.TRUNK,
    )
    return training, transfer


def train(
    dataset: Dataset,
    wishes: Wishes,
    out: Path,
    observer: Observer,
    *,
    resume: bool,
    team: Team = ALONE,
) -> Outcome:
    """Fine-tune a detector and write the run.

    Args:
        dataset: Checked.
        wishes: What was asked for.
        out: Folder of the run; made if it does not exist.
        observer: Told of every step.
        resume: Go on from the checkpoint in ``out``.
        team: The processes that train together; only the leader comes back.

    Raises:
        TrainingError: Weights, output folder, or the loss is not finite.
        DatasetError: Nothing to train on.
        DismissedError: In processes that do not lead, once trained.
    """
    photos, held_out = dataset.for_training()
    recipe = resolve(wishes, photos)
    sampler = EpochSampler(photos, recipe.seed)
    steps_per_epoch = max(1, len(sampler) // recipe.batch)
    made_with = _made_with(recipe, dataset)
    require_share(recipe.batch, team)
    team.require_same("recipe and photos", str(made_with))
    with team.first_on_machine():
        training, transfer = begin_training(recipe, dataset.labels, steps_per_epoch)
    join(training, team)
    observer.begin(recipe, transfer, training.schedule.steps)
    curve = _fit(
        training,
        recipe,
        photos,
        sampler,
        out,
        observer,
        made_with=made_with,
        resume=resume,
    )
    team.dismiss_others()
    detector = TorchDetector(
        training.average.model, recipe.input_height_px, recipe.input_width_px
    )
    split = _held_out_name(dataset)
    tick = observer.measuring(len(held_out))
    found = predict_photos(detector, held_out, len(dataset.labels), on_photo=tick)
    thresholds = choose_thresholds(found, held_out, dataset.labels, split)
    record = RunRecord(
        name=out.resolve().name,
        detector=recipe.detector,
        activation=recipe.activation,
        labels=dataset.labels,
        input_height_px=recipe.input_height_px,
        input_width_px=recipe.input_width_px,
        seed=recipe.seed,
        recipe=asdict(recipe),
        pretrained=recipe.weights,
        pretrained_sha256=transfer.sha256 if transfer else None,
        dataset=str(dataset.root.resolve()),
        dataset_sha256=dataset.sha256,
        dataset_images=dataset.photo_count,
        versions={name: version(name) for name in LIBRARIES},
        seconds=curve[-1].seconds if curve else 0.0,
        thresholds=thresholds,
        metrics=measure(found, held_out, dataset.labels, thresholds, split),
        curve=tuple(curve),
    )
    return Outcome(write_run(out, record, training.average.model), found, held_out)


def join(training: Training, team: Team) -> None:
    """Make a training one of several processes that do the same steps.

    Args:
        training: Changed in place.
        team: The processes.
    """
    training.team = team
    team.copy_leader(training.model)
    share_norms(training.model, team)


def _held_out_name(dataset: Dataset) -> str:
    """Return what the photos that were measured on are called."""
    has_val = "train" in dataset.splits and dataset.splits.get("val")
    return "val" if has_val else "held-out"


def _fit(
    training: Training,
    recipe: Recipe,
    photos: tuple[Photo, ...],
    sampler: EpochSampler,
    out: Path,
    observer: Observer,
    *,
    made_with: dict[str, str],
    resume: bool,
) -> list[CurvePoint]:
    """Run the epochs that are left, with a checkpoint after each."""
    path = out / CHECKPOINT_NAME
    curve = _resumed(path, training, made_with) if resume else []
    team = training.team
    team.require_same("steps done", str(training.step))
    data = TrainingPhotos(photos, recipe.input_height_px, recipe.input_width_px)
    workers = WORKERS_FOR_GPU if training.device.type == "cuda" else 0
    loader = make_batches(training, data, sampler, recipe, workers)
    earlier = curve[-1].seconds if curve else 0.0
    begun = time.monotonic()
    for epoch in range(len(curve) + 1, recipe.epochs + 1):
        sampler.epoch = epoch
        torch.manual_seed(recipe.seed * MOST_EPOCHS + epoch)  # the same when resumed
        loss = train_one_epoch(training, loader, partial(observer.step, epoch))
        seconds = earlier + time.monotonic() - begun
        curve.append(
            CurvePoint(epoch=epoch, step=training.step, seconds=seconds, loss=loss)
        )
        points = [point.model_dump() for point in curve]
        if team.is_leader:
            save_checkpoint(path, training, {"made_with": made_with, "curve": points})
    return curve


def _made_with(recipe: Recipe, dataset: Dataset) -> dict[str, str]:
    """Return what must be the same when a training is resumed."""
    values = {key: str(value) for key, value in asdict(recipe).items()}
    labels = ", ".join(dataset.labels)
    return values | {"labels": labels, "dataset": dataset.sha256[:16]}


def _resumed(
    path: Path, training: Training, made_with: dict[str, str]
) -> list[CurvePoint]:
    """Load a checkpoint made with the same; return the curve so far."""
    extra = load_checkpoint(path, training, made_with)
    try:
        return [CurvePoint.model_validate(point) for point in extra["curve"]]
    except (KeyError, TypeError, ValueError) as exc:
        raise cannot_resume(path, exc) from exc
