"""The recipe of every training: from photos and a few options to a finished run.

Options that are not given are chosen from the data: the input size from the photos, the
number of epochs from their number. The chosen values are written into the run. The
order is: data, network, grafted weights, the steps, thresholds and metrics on photos
that were not trained on.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from models.counted import counted
from models.detections import Detections
from models.heat_map import UNKNOWN_LABEL
from models.manifest import ThresholdRule
from models.tiled_detector import tiled
from trainer.data.dataset import Dataset, Photo
from trainer.data.sample import Batch
from trainer.data.sampling.augmentation import (
    EpochSampler,
    TrainingPhotos,
    collate,
    make_loader,
)
from trainer.data.sampling.crops import CLOSE_UP_PHASE
from trainer.data.sampling.tiles import TrainingTiles
from trainer.detectors.names import ScoreRule
from trainer.detectors.unknown import require_named
from trainer.detectors.weights import TransferReport
from trainer.detectors.zoo import build_detector, load_weights
from trainer.evaluation.leakage import trained_parts
from trainer.evaluation.metrics import measure, predict_photos
from trainer.evaluation.part import measured_part, predict_in_time
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.evaluation.thresholds.parts import PhotoOrigins
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.budget import CLOSING_SHARE, LEAST_PHOTOS, TimeBudget, budget_of
from trainer.fit.checkpoint import CheckpointFile, stored_plan
from trainer.fit.choices import Freeze
from trainer.fit.class_odds import calibrate, stored_odds
from trainer.fit.disk_space import require_space
from trainer.fit.distributed.data_parallel import require_share, synchronize
from trainer.fit.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from trainer.fit.earlier_run import ancestors, inherit
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    StepReport,
    Training,
    make_optimizer,
    train_step,
)
from trainer.fit.freeze import freeze_backbone
from trainer.fit.hard_negatives import HardNegatives
from trainer.fit.options import Recipe, TrainOptions, resolve
from trainer.fit.planner import Planner, TrainingClock
from trainer.fit.provenance import (
    git_revision,
    keep_split,
    library_versions,
    this_machine,
)
from trainer.fit.sampler import (
    ResumableBatchSampler,
    SeededPhotos,
    collate_samples,
    steps_in_epoch,
)
from trainer.fit.session import TrainingCurve, TrainingSession
from trainer.fit.speed import measure_speed
from trainer.fit.time_plan import (
    PROBE_S,
    TimePlan,
    fit_to_time,
    least_work,
)
from trainer.fit.unknown_branch import MeasuredModel, require_unknown, with_unknown
from trainer.fit.unknown_record import completed
from trainer.fit.validation import Validator
from trainer.run import Run, open_run, write_run
from trainer.run_record import CHECKPOINT_NAME, Ancestor, RunRecord, ScheduleRecord

WORKERS_FOR_GPU = 8  # a CPU needs its cores for the steps


class Observer(Protocol):
    """Observes a training: a progress bar, or a test."""

    def begin(
        self, recipe: Recipe, transfer: TransferReport | None, steps: int
    ) -> None:
        """Training starts or resumes."""

    def reduced(self, text: str) -> None:
        """A budget of minutes leaves something out."""

    def step(self, epoch: int, report: StepReport) -> None:
        """One step is done."""

    def measuring(self, photos: int) -> Callable[[], None]:
        """Evaluation starts; the returned function is called after each photo."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished training and its detections on the held-out photos.

    Attributes:
        run: On disk and in memory.
        found: One for each photo.
        photos: Measured on: the held-out ones, or a part where minutes were short.
    """

    run: Run
    found: list[Detections]
    photos: tuple[Photo, ...]


@dataclass(frozen=True, slots=True)
class PreparedTraining:
    """A training before its first step.

    Attributes:
        transfer: The grafted weights; None = random weights.
        ancestors: The runs that it is based on, the latest first.
    """

    recipe: Recipe
    training: Training
    transfer: TransferReport | None
    ancestors: tuple[Ancestor, ...] = ()


def train(
    dataset: Dataset,
    options: TrainOptions,
    out: Path,
    observer: Observer,
    *,
    resume: bool,
    started_s: float | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Outcome:
    """Fine-tune a detector and write the run.

    Args:
        dataset: Checked.
        out: Folder of the run; exists.
        resume: Continue from the checkpoint in ``out``.
        started_s: Monotonic clock at the start of a budget of minutes; None = now.
        group: The processes that train together; only the leader returns.

    Raises:
        TrainingError: Weights, output folder, or the loss is not finite.
        DatasetError: Nothing to train on, or a limit that cannot be measured.
        WorkerFinishedError: In processes that do not lead, once trained.
    """
    trained_on, held_out = dataset.for_training()
    if options.unknown:
        require_unknown(dataset, options)
    require_named(build_detector(options.detector, 1, options.activation))
    options = _limited(options, held_out)
    budget = budget_of(options.minutes, started_s)
    plan = _time_plan(
        dataset, options, out / CHECKPOINT_NAME, budget, group, resume=resume
    )
    recipe = resolve(plan.apply(options), trained_on)
    if budget:
        recipe = replace(recipe, warmup_steps=plan.warmup_steps)
    require_share(recipe.batch, group)
    made_with = _made_with(recipe, dataset, options)
    group.require_same("recipe and photos", str(made_with))

    data = _training_data(recipe, trained_on)
    epoch = EpochSampler(data.photos, recipe.seed)
    repeated = options.repeats.schedule if options.repeats else None
    steps_per_epoch = steps_in_epoch(len(epoch), recipe.batch)
    prepared = prepare_training(
        recipe, dataset.labels, steps_per_epoch, group, repeated
    )
    known = trained_parts(dataset.split_assignment, trained_on, held_out)
    if known.defective:  # frames of a trained part would choose the weights it knows
        options = replace(options, selects=False)
    validator = _validator(options, recipe, held_out, len(dataset.labels), plan)
    negatives = _negatives(recipe, data, validator, repeated)
    session = _session(
        prepared, validator, negatives, budget, plan, repeated, steps_per_epoch
    )
    checkpoint = CheckpointFile(out / CHECKPOINT_NAME, made_with)
    if resume:
        checkpoint.resume(session)
    group.require_same("steps done", str(prepared.training.step))
    if group.is_leader:
        require_space(out, prepared.training, out / CHECKPOINT_NAME)
    observer.begin(recipe, prepared.transfer, prepared.training.schedule.steps)
    for text in plan.reduced:
        observer.reduced(text)
    session.planner.on_reduced = observer.reduced
    if not resume:
        checkpoint.save(session)
    batches = _batches(recipe, data, epoch, session)
    _train_steps(session, batches, checkpoint, observer)
    group.leave_to_leader()
    return _finish(dataset, options, out, observer, prepared, session)


def _limited(options: TrainOptions, held_out: Sequence[Photo]) -> TrainOptions:
    """Return the options, whose limit these photos can promise.

    Raises:
        DatasetError: They cannot: there are no parts to count.
    """
    if options.limit is None:
        return options
    options.limit.check(held_out)
    if options.limit.rule is ThresholdRule.ESCAPES:
        # The promise is of defective parts that nothing else was chosen on.
        return replace(options, selects=False)
    return options


def _negatives(
    recipe: Recipe,
    data: TrainingPhotos,
    validator: Validator,
    repeated: ScheduleRecord | None,
) -> HardNegatives | None:
    """Return the mining of good photos; None = the recipe mines nothing."""
    if not recipe.mines:
        return None
    negatives = HardNegatives(data.photos, validator.predict)
    if repeated and repeated.mined_photos:
        negatives.max_photos = repeated.mined_photos
    return negatives


def _session(
    prepared: PreparedTraining,
    validator: Validator,
    negatives: HardNegatives | None,
    budget: TimeBudget | None,
    plan: TimePlan,
    repeated: ScheduleRecord | None,
    steps_per_epoch: int,
) -> TrainingSession:
    """Return the training with its clock, plan and validation."""
    training, clock = prepared.training, TrainingClock()
    if plan.steps:
        training.schedule = replace(training.schedule, steps=plan.steps)
    planner = Planner(
        training, validator, negatives, clock, budget, repeated, plan.reduced
    )
    curve = TrainingCurve()
    return TrainingSession(
        training, clock, planner, validator, negatives, curve, steps_per_epoch, plan
    )


def _train_steps(
    session: TrainingSession,
    batches: Iterator[Batch],
    checkpoint: CheckpointFile,
    observer: Observer,
) -> None:
    """Do the remaining steps.

    Raises:
        TrainingError: The loss is not finite, or the checkpoint cannot be written.
    """
    training, clock, planner = session.training, session.clock, session.planner
    validator, curve = session.validator, session.curve
    training.enter_training_mode()
    clock.start_step()
    while not training.is_finished:
        # Batch. Negatives are mined at the start of an epoch, never where a training
        # happens to resume: it gets the samples of the uninterrupted one.
        if session.is_epoch_boundary:
            with clock.paused():
                is_mined = session.mine_negatives()
            if is_mined:
                checkpoint.save(session)  # a resumed training does not mine again
            clock.start_step()
        images, targets = next(batches)

        # Step.
        loss = train_step(training, images, targets)
        curve.add_loss(loss)

        # Clock: the end of the schedule is adapted to it.
        clock.end_step()
        planner.update()
        observer.step(session.epoch, session.report(loss))

        # Validate. The schedule may end in the middle of an epoch.
        is_epoch_end = session.is_epoch_boundary or training.is_finished
        if is_epoch_end:
            measurement = None
            is_due = validator.is_due(training.schedule, training.step)
            if is_due and planner.may_validate():
                with clock.paused():
                    measurement = validator.validate(training)
                planner.end_early()
            curve.end_epoch(session.epoch, training.step, clock.seconds, measurement)

        # Save.
        if is_epoch_end or checkpoint.is_due:
            checkpoint.save(session)


def prepare_training(
    recipe: Recipe,
    labels: tuple[str, ...],
    steps_per_epoch: int,
    group: ProcessGroup = SINGLE_PROCESS,
    repeated: ScheduleRecord | None = None,
) -> PreparedTraining:
    """Return a network with its grafted weights, ready for the first step.

    Args:
        repeated: Schedule of a run to repeat; None = that of the recipe.

    Raises:
        TrainingError: The weights are not available, or do not fit.
    """
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_detector(recipe.detector, len(labels), recipe.activation)
    line: tuple[Ancestor, ...] = ()
    with group.first_on_machine():  # one process downloads, the others find the file
        if recipe.earlier:
            earlier = open_run(Path(recipe.earlier))
            inherited = inherit(model, labels, earlier)
            transfer: TransferReport | None = inherited.transfer
            line = ancestors(earlier, inherited)
        else:
            transfer = load_weights(model, recipe.weights)
    if recipe.freeze is Freeze.BACKBONE:
        freeze_backbone(model, recipe.weights, recipe.activation)
    model.to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(
        model, recipe.learning_rate, recipe.weight_decay, recipe.backbone_share
    )
    average = MovingAverage(model)
    # After the average: its copy keeps torch's own norms, which evaluation needs.
    synchronize(model, group)
    steps = recipe.epochs * steps_per_epoch
    past: tuple[tuple[int, int], ...] = ()
    if repeated:
        steps, past = repeated.steps, repeated.past
    training = Training(
        model,
        optimizer,
        average,
        Schedule(recipe.learning_rate, steps, recipe.warmup_steps, past),
        device,
        frozen_norms=recipe.frozen_norms,
        frozen_backbone=recipe.freeze is Freeze.BACKBONE,
        group=group,
    )
    return PreparedTraining(recipe, training, transfer, line)


def _training_data(recipe: Recipe, photos: tuple[Photo, ...]) -> TrainingPhotos:
    """Return whole photos, or their tiles."""
    if recipe.tiles:
        return TrainingTiles(
            photos, recipe.tiles, pastes=recipe.pastes, turns=recipe.turns
        )
    size_px = recipe.input_height_px, recipe.input_width_px
    return TrainingPhotos(photos, *size_px, pastes=recipe.pastes, turns=recipe.turns)


def _time_plan(
    dataset: Dataset,
    options: TrainOptions,
    checkpoint: Path,
    budget: TimeBudget | None,
    group: ProcessGroup,
    *,
    resume: bool,
) -> TimePlan:
    """Return the work that the minutes allow; the leader's speed counts."""
    if options.repeats:
        return TimePlan(final_photos=options.repeats.schedule.final_photos)
    if resume:
        return stored_plan(checkpoint)
    if not budget:
        return TimePlan()
    own = ""
    if group.is_leader:
        own = json.dumps(_measured_plan(dataset, options, budget).state())
    return TimePlan.from_state(json.loads(group.leader_text("time plan", own)))


def _measured_plan(
    dataset: Dataset, options: TrainOptions, budget: TimeBudget
) -> TimePlan:
    """Measure the speed of this machine, where there is time, and return the plan."""
    photos, held_out = dataset.for_training()
    recipe = resolve(options, photos)
    if budget.deadline_s - time.monotonic() < PROBE_S:
        return least_work(options, recipe, photos, held_out)
    started_s = time.monotonic()
    data = _training_data(recipe, photos)
    order = EpochSampler(data.photos, recipe.seed).order()[: recipe.batch]
    batch = collate([data[index] for index in order])
    load_s = time.monotonic() - started_s
    if budget.deadline_s - time.monotonic() < PROBE_S:
        return least_work(options, recipe, photos, held_out)
    speed = measure_speed(recipe, len(dataset.labels), batch, load_s, held_out)
    left_s = budget.deadline_s - time.monotonic()
    return fit_to_time(options, recipe, photos, held_out, speed, left_s)


def _validator(
    options: TrainOptions,
    recipe: Recipe,
    held_out: tuple[Photo, ...],
    labels: int,
    plan: TimePlan,
) -> Validator:
    """Return the validator; it never shortens a schedule whose length was given."""
    is_length_given = options.epochs or options.minutes or options.repeats
    validator = Validator(
        held_out,
        labels,
        (recipe.input_height_px, recipe.input_width_px),
        tiles=recipe.tiles,
        may_end_early=not is_length_given,
        selects=options.selects,
    )
    validator.final_count = plan.final_photos or len(held_out)
    validator.photo_s = plan.photo_s
    return validator


def _batches(
    recipe: Recipe, data: TrainingPhotos, epoch: EpochSampler, session: TrainingSession
) -> Iterator[Batch]:
    """Yield this process's batches from the current step, epoch after epoch."""
    training = session.training
    sampler = ResumableBatchSampler(
        epoch,
        recipe.seed,
        recipe.batch,
        recipe.close_ups,
        is_close_up=lambda step: training.schedule.phase(step) < CLOSE_UP_PHASE,
        negatives=session.negatives,
        group=training.group,
    )
    workers = WORKERS_FOR_GPU if training.device.type == "cuda" else 0
    loader: Iterable[Batch] = make_loader(
        SeededPhotos(data, recipe.close_ups), sampler, workers, collate_samples
    )
    while True:
        sampler.seek(training.step)
        yield from loader


def _finish(
    dataset: Dataset,
    options: TrainOptions,
    out: Path,
    observer: Observer,
    prepared: PreparedTraining,
    session: TrainingSession,
) -> Outcome:
    """Choose the weights and thresholds, measure, and write the run."""
    recipe = prepared.recipe
    model = session.training.average.model
    kept_step = session.validator.restore_best(model)
    keep_split(out, dataset.split_assignment)
    photos, found = _measured(session, recipe, kept_step, observer)
    session.planner.state_end(len(photos))
    split, trained_on = _held_out_name(dataset), dataset.for_training()[0]
    known = trained_parts(dataset.split_assignment, trained_on, photos)
    if not known.defective:
        found = calibrate(model, found, photos, options)
    whole = MeasuredModel(model, dataset.labels, found)
    if options.unknown:
        whole = with_unknown(model, dataset, recipe, photos, observer)
    labels, found = whole.labels, whole.found
    chosen = choose_thresholds(
        *(found, photos, labels, split, options.limit),
        origins=PhotoOrigins.of(dataset.split_assignment, photos, trained_on),
        unknown_label=UNKNOWN_LABEL if whole.record else None,
    )
    thresholds = known.without_claims(chosen)
    record = RunRecord(
        name=out.resolve().name,
        detector=recipe.detector,
        activation=recipe.activation,
        score_rule=ScoreRule.CLASS_SHARE,
        class_odds=stored_odds(model, dataset.labels),
        labels=labels,
        input_height_px=recipe.input_height_px,
        input_width_px=recipe.input_width_px,
        tiles=recipe.tiles,
        seed=recipe.seed,
        recipe=asdict(recipe),
        pretrained=recipe.weights,
        pretrained_sha256=prepared.transfer.sha256 if prepared.transfer else None,
        dataset=str(dataset.root.resolve()),
        dataset_sha256=dataset.sha256,
        dataset_images=dataset.photo_count,
        versions=library_versions(),
        seconds=session.curve.seconds,
        thresholds=thresholds,
        metrics=known.mask(measure(found, photos, labels, thresholds, split)),
        curve=tuple(session.curve.points),
        schedule=session.schedule_record(kept_step, len(photos)),
        ancestors=prepared.ancestors,
        repeats=options.repeats.name if options.repeats else None,
        machine=this_machine(),
        git_revision=git_revision(),
        split=dataset.split_assignment.summary(),
        unknown=whole.record,
    )
    return _written(out, record, dataset, whole, photos, recipe, observer)


def _written(
    out: Path,
    record: RunRecord,
    dataset: Dataset,
    whole: MeasuredModel,
    photos: tuple[Photo, ...],
    recipe: Recipe,
    observer: Observer,
) -> Outcome:
    """Complete the record of a class ``unknown``, and write the run."""
    model, found = whole.model, whole.found
    measured = (photos, found)
    record = completed(record, dataset, model, measured, recipe, observer.measuring)
    return Outcome(write_run(out, record, model), found, photos)


def _measured(
    session: TrainingSession, recipe: Recipe, kept_step: int | None, observer: Observer
) -> tuple[tuple[Photo, ...], list[Detections]]:
    """Return the photos of the measurement at the end, and the detections on them."""
    validator, budget = session.validator, session.planner.budget
    step = session.training.step if kept_step is None else kept_step
    if (known := validator.found_at(step)) is not None:
        return validator.held_out, known
    photos = measured_part(validator.held_out, validator.final_count)
    model = session.training.average.model
    size_px = (recipe.input_height_px, recipe.input_width_px)
    detector = tiled(TorchDetector(model, *size_px), recipe.tiles)
    labels, on_photo = validator.label_count, observer.measuring(len(photos))
    if not (budget and validator.selects):
        return photos, predict_photos(detector, photos, labels, on_photo=on_photo)
    started_s = time.monotonic()

    def is_late(measured: int) -> bool:
        now_s = time.monotonic()
        # With the next photo.
        took_s = (now_s - started_s) * (measured + 1) / max(1, measured)
        # Thresholds, metrics and report of these photos come after it.
        is_late = budget.is_late(now_s, took_s * (CLOSING_SHARE - 1))
        return is_late or session.planner.is_measured_enough(took_s * CLOSING_SHARE)

    return predict_in_time(
        detector, photos, labels, least=LEAST_PHOTOS, is_late=is_late, on_photo=on_photo
    )


def _held_out_name(dataset: Dataset) -> str:
    """Return the name of the split that is measured on."""
    has_val = "train" in dataset.splits and dataset.splits.get("val")
    return "val" if has_val else "held-out"


def _made_with(
    recipe: Recipe, dataset: Dataset, options: TrainOptions
) -> dict[str, str]:
    """Return the values that must not change on a resume; stored in checkpoints."""
    values = {key: str(value) for key, value in asdict(recipe).items()}
    schedule, repeat = "the run's own", options.repeats
    if options.unknown:
        values["class unknown"] = "--unknown"
    if repeat:
        schedule = (
            f"{counted(repeat.schedule.steps, 'step')}, moved {repeat.schedule.past}"
        )
    if dataset.bit_depth:
        values["bit depth"] = str(dataset.bit_depth)
    return values | {
        "labels": ", ".join(dataset.labels),
        "dataset": dataset.sha256[:16],
        "split": dataset.split_assignment.sha256[:16],
        "schedule": schedule,
    }
