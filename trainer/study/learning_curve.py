"""The same training on a quarter, a half and three quarters of the photos.

The training photos are divided into four parts of the same mixture, keeping groups
together. Each training gets one part more than the one before. The last training is
the run itself::

    RUN/curve/
        plan.json       what the trainings were made with
        25/ 50/ 75/     runs

All use the recipe and the schedule of the run, to the step, so that they differ in the
photos only. All are measured on the same photos, each at thresholds that were chosen on
them by the same rule. A training that is finished is not trained again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from models.errors import DatasetError
from trainer.data.dataset import Dataset, Photo
from trainer.data.splitting.stratify import assign_subsets, sorted_by_hash
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import Outcome
from trainer.learning_curve.series import CurveTraining
from trainer.study.trainings import (
    ObserverFactory,
    repeated_options,
    require_same_plan,
    run_plan,
    train_once,
)

FOLDER_NAME = "curve"
PARTS = 4
FEWEST_DEFECTIVE = 2  # in the smallest part: one photo gives no batch statistics

Subset = tuple[Photo, ...]


def nested_photos(dataset: Dataset, seed: int) -> tuple[Subset, ...]:
    """Return the photos of each training except the last, each inside the next.

    Raises:
        DatasetError: Too few photos with a defect, or too few groups of them.
    """
    photos = sorted_by_hash(dataset.for_training()[0])
    groups = dataset.split_assignment.groups_of(photos)
    side = assign_subsets(photos, [1 / PARTS] * PARTS, seed, groups)
    subsets = tuple(
        tuple(p for p, part in zip(photos, side, strict=True) if part < count)
        for count in range(1, PARTS)
    )
    defective = [sum(not photo.is_good for photo in subset) for subset in subsets]
    total = sum(not photo.is_good for photo in photos)
    counts = [*defective, total]
    if counts[0] >= FEWEST_DEFECTIVE and len(set(counts)) == PARTS:
        return subsets
    raise DatasetError(
        f"{dataset.root}: too few photos for --learning-curve.",
        why=f"Its {PARTS} nested parts would show {', '.join(map(str, counts))} photos "
        f"with a defect; each needs more than the one before, the first at least "
        f"{FEWEST_DEFECTIVE}.",
        fix="Label defects in more photos, or choose a --group that keeps fewer "
        "photos together.",
    )


def train_curve(
    dataset: Dataset, options: TrainOptions, outcome: Outcome, observe: ObserverFactory
) -> list[CurveTraining]:
    """Train on more and more of the photos, and return the result of each training.

    Args:
        dataset: The one that the run was trained on.
        outcome: The run; the trainings are written to its folder.
        observe: Opens the observer of a training by its number, from 0.

    Returns:
        Ascending in photos; the last one is the run itself.

    Raises:
        DatasetError: Too few photos with a defect.
        TrainingError: The trainings there were made with other photos or options.
    """
    subsets = nested_photos(dataset, options.seed)
    root = outcome.run.folder / FOLDER_NAME
    repeated = repeated_options(outcome.run.record, options)
    parts = [_dataset_of(dataset, subset) for subset in subsets]
    plan: dict[str, object] = {"photos_sha256": [part.sha256 for part in parts]}
    require_same_plan(
        root, plan | run_plan(outcome.run.record), "trainings of the curve"
    )
    measured = []
    for number, (subset, part) in enumerate(zip(subsets, parts, strict=True)):
        with observe(number) as observer:
            folder = root / str(100 * (number + 1) // PARTS)
            one = train_once(part, repeated, folder, observer)
        measured.append(_measured(subset, one))
    return [*measured, _measured(dataset.for_training()[0], outcome)]


def _measured(photos: Sequence[Photo], outcome: Outcome) -> CurveTraining:
    record = outcome.run.record
    rule = record.thresholds.decision_rule(record.labels)
    # None only where all photos show one part, and those the study refuses
    map_33 = record.metrics.map_33 or 0.0
    return CurveTraining(photos, outcome.found, rule, map_33)


def _dataset_of(dataset: Dataset, subset: Subset) -> Dataset:
    """Return a dataset that trains on some photos and keeps val as it is."""
    held_out = dataset.for_training()[1]
    known = {photo.sha256 for photo in (*subset, *held_out)}
    record = dataset.split_assignment.record
    places = {name: place for name, place in record.photos.items() if name in known}
    division = replace(
        dataset.split_assignment, record=record.model_copy(update={"photos": places})
    )
    digest = hashlib.sha256(dataset.sha256.encode())
    for photo in subset:
        digest.update(photo.sha256.encode())
    splits = {"train": subset, "val": held_out}
    return Dataset(
        dataset.root, dataset.labels, splits, (), digest.hexdigest(), division
    )
