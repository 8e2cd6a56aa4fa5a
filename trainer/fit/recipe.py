"""The one recipe: from photos and a few wishes to a finished run.

What nobody asked for is chosen from the data: the input size from the photos, the
number of epochs from how many there are. What was chosen is written into the run.
Then, in order: data, network, weights grafted on, the loop, thresholds and metrics on
photos that were not trained on.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from models.detections import Detections
from models.tiled_detector import tiled
from trainer.data.dataset import Dataset, Photo
from trainer.data.sample import Batch
from trainer.data.sampling.augmentation import EpochSampler, TrainingPhotos, make_loader
from trainer.data.sampling.tiles import TrainingTiles
from trainer.detectors.base import TrainableDetector
from trainer.detectors.weights import TransferReport
from trainer.detectors.zoo import build_detector, load_weights
from trainer.evaluation.metrics import measure, predict_photos
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.budget import budget_of
from trainer.fit.distributed.launch import require_share
from trainer.fit.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from trainer.fit.distributed.synced_norm import share_norms
from trainer.fit.earlier_run import ancestors, inherit
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    StepReport,
    Training,
    make_optimizer,
)
from trainer.fit.frozen_trunk import (
    CachedFeatures,
    Freeze,
    cached_views,
    freeze_trunk,
)
from trainer.fit.hard_negatives import HardNegatives
from trainer.fit.loop import Loop
from trainer.fit.options import Recipe, TrainOptions, resolve
from trainer.fit.provenance import keep_split, made_by
from trainer.fit.repeat import Repeat
from trainer.fit.sampler import ResumableBatchSampler, SeededPhotos, collate_places
from trainer.fit.validation import Validator
from trainer.run import (
    CHECKPOINT_NAME,
    Ancestor,
    Run,
    RunRecord,
    open_run,
    write_run,
)

WORKERS_FOR_GPU = 8


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
    return training, transfer, line


def train(
    dataset: Dataset,
    wishes: TrainOptions,
    out: Path,
    observer: Observer,
    *,
    resume: bool,
    begun_s: float | None = None,
    team: ProcessGroup = SINGLE_PROCESS,
) -> Outcome:
    """Fine-tune a detector and write the run.

    Args:
        dataset: Checked.
        wishes: What was asked for.
        out: Folder of the run; made if it does not exist.
        observer: Told of every step.
        resume: Go on from the checkpoint in ``out``.
        begun_s: Monotonic clock at which a budget of minutes begins; None = now.
        team: The processes that train together; only the leader comes back.

    Raises:
        TrainingError: Weights, output folder, or the loss is not finite.
        DatasetError: Nothing to train on, or a limit that cannot be counted.
        ConfigError: The budget is too small.
        DismissedError: In processes that do not lead, once trained.
    """
    photos, held_out = dataset.for_training()
    if wishes.limit:
        wishes.limit.check(held_out)
    recipe = resolve(wishes, photos)
    loop, transfer, line = _loop(
        recipe, dataset, wishes, out / CHECKPOINT_NAME, observer, begun_s, team
    )
    loop.prepare(wishes.repeats.schedule if wishes.repeats else None, resume=resume)
    observer.begin(recipe, transfer, loop.training.schedule.steps)
    curve = loop.run()
    team.dismiss_others()
    model = loop.training.average.model
    kept_step = loop.watch.keep_best(model)
    keep_split(out, dataset.split_assignment)
    found = _measured(recipe, model, dataset, observer)
    record = RunRecord(
        name=out.resolve().name,
        labels=dataset.labels,
        pretrained_sha256=transfer.sha256 if transfer else None,
        seconds=curve[-1].seconds if curve else 0.0,
        curve=tuple(curve),
        schedule=loop.record(kept_step),
        ancestors=line,
        repeats=wishes.repeats.name if wishes.repeats else None,
        **_known_by(dataset),
        **_judged(found, dataset, wishes.limit),
        **_resolved(recipe),
        **made_by(),
    )
    return Outcome(write_run(out, record, model), found, held_out)


def _loop(
    recipe: Recipe,
    dataset: Dataset,
    wishes: TrainOptions,
    path: Path,
    observer: Observer,
    begun_s: float | None,
    team: ProcessGroup,
) -> tuple[Loop, TransferReport | None, tuple[Ancestor, ...]]:
    """Return a training ready to run, what was grafted, and what it descends from."""
    photos, held_out = dataset.for_training()
    made_with = _made_with(recipe, dataset, wishes.repeats)
    require_share(recipe.batch, team)
    team.require_same("recipe and photos", str(made_with))
    data = _training_data(recipe, photos)
    watch = _watch(wishes, recipe, held_out, len(dataset.labels))
    order = _order(recipe, data, watch, team)
    training, transfer, line = _begin(recipe, dataset.labels, order)
    loop = Loop(
        training,
        _batches(recipe, data, order, training),
        order,
        watch=watch,
        budget=budget_of(recipe.minutes, begun_s, order.steps_per_epoch),
        path=path,
        notes={"made_with": made_with},
        on_step=observer.step,
    )
    return loop, transfer, line


def _judged(
    found: list[Detections], dataset: Dataset, limit: ErrorLimit | None
) -> dict[str, Any]:
    """Return what the record says of the photos that were not trained on."""
    held_out, split = dataset.for_training()[1], _held_out_name(dataset)
    thresholds = choose_thresholds(found, held_out, dataset.labels, split, limit)
    metrics = measure(found, held_out, dataset.labels, thresholds, split)
    return {"thresholds": thresholds, "metrics": metrics}


def _begin(
    recipe: Recipe, labels: tuple[str, ...], order: ResumableBatchSampler
) -> tuple[Training, TransferReport | None, tuple[Ancestor, ...]]:
    """Return what ``begin_training`` does, as one process of a team."""
    with order.team.first_on_machine():
        begun = begin_training(recipe, labels, order.steps_per_epoch)
    join(begun[0], order.team)
    return begun


def _known_by(dataset: Dataset) -> dict[str, Any]:
    """Return what the record says of the photos."""
    return {
        "dataset": str(dataset.root.resolve()),
        "dataset_sha256": dataset.sha256,
        "dataset_images": dataset.photo_count,
        "split": dataset.split_assignment.summary(),
    }


def _resolved(recipe: Recipe) -> dict[str, Any]:
    """Return what the record says of the recipe."""
    return {
        "detector": recipe.detector,
        "activation": recipe.activation,
        "input_height_px": recipe.input_height_px,
        "input_width_px": recipe.input_width_px,
        "seed": recipe.seed,
        "tiles": recipe.tiles,
        "recipe": asdict(recipe),
        "pretrained": recipe.weights,
    }


def _watch(
    wishes: TrainOptions, recipe: Recipe, held_out: tuple[Photo, ...], labels: int
) -> Validator:
    """Return what measures while training; it ends no length that was asked for."""
    unasked = not (wishes.epochs or wishes.minutes or wishes.repeats)
    return Validator(
        held_out,
        labels,
        (recipe.input_height_px, recipe.input_width_px),
        tiles=recipe.tiles,
        may_end_early=unasked,
        selects=wishes.selects,
    )


def _measured(
    recipe: Recipe, model: TrainableDetector, dataset: Dataset, observer: Observer
) -> list[Detections]:
    """Return what is found on the photos that were not trained on."""
    held_out = dataset.for_training()[1]
    size_px = (recipe.input_height_px, recipe.input_width_px)
    tick = observer.measuring(len(held_out))
    detector = tiled(TorchDetector(model, *size_px), recipe.tiles)
    return predict_photos(detector, held_out, len(dataset.labels), on_photo=tick)


def join(training: Training, team: ProcessGroup) -> None:
    """Make a training one of several processes that do the same steps.

    Args:
        training: Changed in place.
        team: The processes.
    """
    training.team = team
    team.copy_leader(training.model)
    share_norms(training.model, team)


def _training_data(recipe: Recipe, photos: tuple[Photo, ...]) -> TrainingPhotos:
    """Return what is looked at: whole photos, or their tiles."""
    if recipe.tiles:
        return TrainingTiles(photos, recipe.tiles, pastes=recipe.pastes)
    size_px = recipe.input_height_px, recipe.input_width_px
    return TrainingPhotos(photos, *size_px, pastes=recipe.pastes)


def _order(
    recipe: Recipe, data: TrainingPhotos, watch: Validator, team: ProcessGroup
) -> ResumableBatchSampler:
    """Return what is looked at when, and how closely."""
    order = ResumableBatchSampler(
        EpochSampler(data.photos, recipe.seed),
        recipe.seed,
        recipe.batch,
        recipe.close_ups,
        HardNegatives(data.photos, watch.look) if recipe.mines else None,
    )
    order.team = team
    return order


def _batches(
    recipe: Recipe,
    data: TrainingPhotos,
    order: ResumableBatchSampler,
    training: Training,
) -> Iterable[Batch]:
    """Return this process's batches in their order."""
    size_px = (recipe.input_height_px, recipe.input_width_px)
    seeded = SeededPhotos(data, recipe.close_ups)
    if training.frozen_trunk:
        order.views = cached_views(training, len(data), size_px, recipe.epochs)
    if order.views:
        return CachedFeatures(training.model, seeded, order)
    workers = WORKERS_FOR_GPU if training.device.type == "cuda" else 0
    return make_loader(seeded, order, workers, collate_places)


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
        "split": dataset.split_assignment.sha256[:16],
        "schedule": schedule,
    }
