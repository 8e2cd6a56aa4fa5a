"""The one recipe: from photos and a few wishes to a finished run.

What nobody asked for is chosen from the data: the input size from the photos, the
number of epochs from how many there are. What was chosen is written into the run.
Then, in order: data, network, weights grafted on, the loop, thresholds and metrics on
photos that were not trained on.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch.utils.data import DataLoader

from models.detections import Detections
from models.errors import TrainingError
from trainer.data.dataset import Dataset, Photo
from trainer.data.transforms import EpochSampler, TrainingPhotos, make_loader
from trainer.detectors.base import Architecture, Target
from trainer.detectors.weights import TransferReport
from trainer.detectors.yolox_blocks import Activation
from trainer.detectors.zoo import build_detector, fits_statistics, load_weights
from trainer.fit.ancestor import ancestors, inherit
from trainer.fit.budget import budget_of
from trainer.fit.choices import input_size
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    StepReport,
    Training,
    make_optimizer,
)
from trainer.fit.loop import Loop
from trainer.fit.order import PlaceSampler, SeededPhotos
from trainer.fit.provenance import keep_split, made_by
from trainer.fit.repeat import Repeat
from trainer.fit.watch import Watch
from trainer.judge.metrics import measure, predict_photos
from trainer.judge.thresholds import ErrorLimit, choose_thresholds
from trainer.judge.torch_detector import TorchDetector
from trainer.run import (
    CHECKPOINT_NAME,
    Ancestor,
    Run,
    RunRecord,
    open_run,
    write_run,
)

PHOTOS_TO_SEE = 6000  # 300 photos, 20 epochs; measured: bench/results/boards
FEWEST_EPOCHS, MOST_EPOCHS = 12, 100
BATCH = 8
LEARNING_RATE = 2e-3  # AdamW, measured in the prototype
WEIGHT_DECAY = 0.05
WARMUP_STEPS = 50
WORKERS_FOR_GPU = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user asked for; None = chosen from the data.

    Attributes:
        weights: Name, file or ``none``; None = the shipped checkpoint.
        detector: Architecture; None = the one that the weights are of.
        activation: Non-linearity; None = Hardswish, which INT8 likes.
        size_px: Longer side of the input.
        epochs: Passes over the photos.
        minutes: Time that the whole training may take, instead of epochs.
        batch: Photos a step.
        learning_rate: Peak.
        frozen_norms: Keep the weights' batch statistics; None = where they still hold.
        seed: Of everything random.
        limit: Of errors at the thresholds; None = the rule.
        earlier: Run to go on from; its weights, network and non-linearity win.
        repeats: Run to do once more; then nothing else counts.
    """

    weights: str
    detector: Architecture = Architecture.YOLOX_NANO
    activation: Activation = Activation.HARDSWISH
    size_px: int | None = None
    epochs: int | None = None
    minutes: float | None = None
    batch: int = BATCH
    learning_rate: float = LEARNING_RATE
    frozen_norms: bool | None = None
    seed: int = 0
    limit: ErrorLimit | None = None
    earlier: Path | None = None
    repeats: Repeat | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a training, resolved.

    Attributes:
        detector: Architecture.
        activation: Non-linearity.
        weights: Where training starts from.
        input_height_px: Of the graph's input.
        input_width_px: Of the graph's input.
        epochs: Passes over the photos; with a budget, before it is known how many
            fit.
        batch: Photos a step.
        learning_rate: Peak of the cosine.
        weight_decay: Of convolution weights.
        warmup_steps: Linear warm-up.
        frozen_norms: Batch statistics stay those of the weights; always so in
            batches of one photo, which have none where a map is one pixel.
        seed: Of everything random.
        minutes: Time budget; None = the epochs count.
        earlier: Folder of the run that training goes on from; None = of ``weights``.
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
    minutes: float | None = None
    earlier: str | None = None


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

    Raises:
        TrainingError: The run to repeat was made by another version.
    """
    if wishes.repeats:
        return _repeated(wishes.repeats)
    height, width = input_size(photos, wishes.size_px)
    defective = sum(not photo.is_good for photo in photos)
    epochs = wishes.epochs or round(PHOTOS_TO_SEE / max(1, len(photos)))
    if wishes.epochs is None:
        epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, epochs))
    batch = min(wishes.batch, max(1, defective))
    frozen_norms = wishes.frozen_norms
    if frozen_norms is None:
        frozen_norms = bool(wishes.earlier) or fits_statistics(
            wishes.weights, wishes.activation
        )
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
        wishes.minutes,
        str(wishes.earlier.resolve()) if wishes.earlier else None,
    )


def _repeated(repeat: Repeat) -> Recipe:
    """Return the recipe that a run was made with."""
    stored = dict(repeat.record.recipe)
    stored["detector"] = repeat.record.detector
    stored["activation"] = repeat.record.activation
    stored["minutes"] = None  # they have become steps
    try:
        return Recipe(**stored)  # type: ignore[arg-type]  # values of JSON
    except TypeError as exc:
        raise TrainingError(
            f"{repeat.name}: cannot be repeated.",
            why=f"Its recipe is of another version ({exc}).",
            fix="Train it again, then repeat that run.",
        ) from exc


def begin_training(
    recipe: Recipe, labels: tuple[str, ...], steps_per_epoch: int
) -> tuple[Training, TransferReport | None, tuple[Ancestor, ...]]:
    """Return a network with its grafted weights, ready for the first step.

    Args:
        recipe: Resolved.
        labels: Class names.
        steps_per_epoch: For the schedule.

    Returns:
        The training, what was grafted, and the runs that it descends from.

    Raises:
        TrainingError: The weights are not to be had, or do not fit.
    """
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_detector(recipe.detector, len(labels), recipe.activation)
    line: tuple[Ancestor, ...] = ()
    if recipe.earlier:
        earlier = open_run(Path(recipe.earlier))
        inherited = inherit(model, labels, earlier)
        transfer: TransferReport | None = inherited.transfer
        line = ancestors(earlier, inherited)
    else:
        transfer = load_weights(model, recipe.weights)
    model.to(device).to(memory_format=torch.channels_last)
    steps = recipe.epochs * steps_per_epoch
    schedule = Schedule(recipe.learning_rate, steps, recipe.warmup_steps)
    optimizer = make_optimizer(model, recipe.learning_rate, recipe.weight_decay)
    average = MovingAverage(model)
    training = Training(
        model, optimizer, average, schedule, device, frozen_norms=recipe.frozen_norms
    )
    return training, transfer, line


def train(
    dataset: Dataset,
    wishes: Wishes,
    out: Path,
    observer: Observer,
    *,
    resume: bool,
    begun_s: float | None = None,
) -> Outcome:
    """Fine-tune a detector and write the run.

    Args:
        dataset: Checked.
        wishes: What was asked for.
        out: Folder of the run; made if it does not exist.
        observer: Told of every step.
        resume: Go on from the checkpoint in ``out``.
        begun_s: Monotonic clock at which a budget of minutes begins; None = now.

    Raises:
        TrainingError: Weights, output folder, or the loss is not finite.
        DatasetError: Nothing to train on, or a limit that cannot be counted.
        ConfigError: The budget is too small.
    """
    photos, held_out = dataset.for_training()
    if wishes.limit:
        wishes.limit.check(held_out)
    keep_split(out, dataset.division)
    recipe = resolve(wishes, photos)
    sampler = EpochSampler(photos, recipe.seed)
    order = PlaceSampler(sampler, recipe.seed, recipe.batch)
    training, transfer, line = begin_training(
        recipe, dataset.labels, order.steps_per_epoch
    )
    size_px = (recipe.input_height_px, recipe.input_width_px)
    watch = _watch(wishes, held_out, len(dataset.labels), size_px)
    loop = Loop(
        training,
        _loader(recipe, photos, order, training.device),
        order,
        watch=watch,
        budget=budget_of(recipe.minutes, begun_s, order.steps_per_epoch),
        path=out / CHECKPOINT_NAME,
        notes={"made_with": _made_with(recipe, dataset, wishes.repeats)},
        on_step=observer.step,
    )
    loop.prepare(wishes.repeats.schedule if wishes.repeats else None, resume=resume)
    observer.begin(recipe, transfer, training.schedule.steps)
    curve = loop.run()
    kept_step = loop.watch.keep_best(training.average.model)
    split = _held_out_name(dataset)
    detector = TorchDetector(training.average.model, *size_px)
    found = _measured(detector, held_out, len(dataset.labels), observer)
    thresholds = choose_thresholds(found, held_out, dataset.labels, split, wishes.limit)
    record = RunRecord(
        name=out.resolve().name,
        detector=recipe.detector,
        activation=recipe.activation,
        labels=dataset.labels,
        input_height_px=size_px[0],
        input_width_px=size_px[1],
        seed=recipe.seed,
        recipe=asdict(recipe),
        pretrained=recipe.weights,
        pretrained_sha256=transfer.sha256 if transfer else None,
        dataset=str(dataset.root.resolve()),
        dataset_sha256=dataset.sha256,
        dataset_images=dataset.photo_count,
        split=dataset.division.summary(),
        seconds=curve[-1].seconds if curve else 0.0,
        thresholds=thresholds,
        metrics=measure(found, held_out, dataset.labels, thresholds, split),
        curve=tuple(curve),
        schedule=loop.record(kept_step),
        ancestors=line,
        repeats=wishes.repeats.name if wishes.repeats else None,
        **made_by(),
    )
    return Outcome(write_run(out, record, training.average.model), found, held_out)


def _watch(
    wishes: Wishes, held_out: tuple[Photo, ...], labels: int, size_px: tuple[int, int]
) -> Watch:
    """Return what measures while training; it ends no length that was asked for."""
    unasked = not (wishes.epochs or wishes.minutes or wishes.repeats)
    return Watch(held_out, labels, size_px, may_end_early=unasked)


def _measured(
    detector: TorchDetector,
    held_out: tuple[Photo, ...],
    labels: int,
    observer: Observer,
) -> list[Detections]:
    """Return what is found on the photos that were not trained on."""
    tick = observer.measuring(len(held_out))
    return predict_photos(detector, held_out, labels, on_photo=tick)


def _loader(
    recipe: Recipe,
    photos: tuple[Photo, ...],
    order: PlaceSampler,
    device: torch.device,
) -> DataLoader[tuple[torch.Tensor, Target]]:
    """Return the batches in their order."""
    data = TrainingPhotos(photos, recipe.input_height_px, recipe.input_width_px)
    workers = WORKERS_FOR_GPU if device.type == "cuda" else 0
    return make_loader(SeededPhotos(data), order, recipe.batch, workers)


def _held_out_name(dataset: Dataset) -> str:
    """Return what the photos that were measured on are called."""
    has_val = "train" in dataset.splits and dataset.splits.get("val")
    return "val" if has_val else "held-out"


def _made_with(
    recipe: Recipe, dataset: Dataset, repeat: Repeat | None
) -> dict[str, str]:
    """Return what must be the same when a training is resumed."""
    values = {key: str(value) for key, value in asdict(recipe).items()}
    labels = ", ".join(dataset.labels)
    schedule = "the run's own"
    if repeat:
        schedule = f"{repeat.schedule.steps} steps, moved {repeat.schedule.past}"
    return values | {
        "labels": labels,
        "dataset": dataset.sha256[:16],
        "split": dataset.division.sha256[:16],
        "schedule": schedule,
    }
