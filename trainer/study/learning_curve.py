"""The same training on a quarter, a half and three quarters of the photos.

The photos trained on are divided into four parts that show the same, whole groups at a
time; each training gets one part more than the one before. The last training is the
run itself::

    RUN/curve/
        plan.json       what the trainings were made with
        25/ 50/ 75/     runs

All take the recipe and the schedule of the run, to the step: the same time on fewer
photos, so that what differs is the photos alone. All are measured on the same photos,
each at thresholds that were chosen on them by the same rule. A training that is
finished is not trained again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.errors import DatasetError
from trainer.data.dataset import Dataset, Photo
from trainer.data.splitting.stratify import assign_subsets, sorted_by_hash
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import Outcome
from trainer.learning_curve.series import CurveTraining
from trainer.study.trainings import (
    ObserverFactory,
    keep_plan,
    repeating,
    run_plan,
    train_once,
)

FOLDER_NAME = "curve"
PARTS = 4
FEWEST_DEFECTIVE = 2  # in the smallest part: a batch of one photo has no statistics

Subset = tuple[Photo, ...]


def nested_photos(dataset: Dataset, seed: int) -> tuple[Subset, ...]:
    """Return the photos of each training but the last, each inside the next.

    Args:
        dataset: Checked.
        seed: Of the division.

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


def learn_again(
    dataset: Dataset, wishes: TrainOptions, outcome: Outcome, watch: ObserverFactory
) -> list[CurveTraining]:
    """Train on ever more of the photos, and return what each training became.

    Args:
        dataset: That the run was trained on.
        wishes: Of the run.
        outcome: The run; its folder gets the trainings.
        watch: Gives who watches the training of a number, from 0.

    Returns:
        Ascending in photos; the last one is the run itself.

    Raises:
        DatasetError: Too few photos with a defect.
        TrainingError: The trainings there were made with something else.
    """
    subsets = nested_photos(dataset, wishes.seed)
    root = outcome.run.folder / FOLDER_NAME
    again = repeating(outcome.run.record, wishes)
    inside = [_dataset_of(dataset, subset) for subset in subsets]
    parts: dict[str, object] = {"photos_sha256": [part.sha256 for part in inside]}
    keep_plan(root, parts | run_plan(outcome.run.record), "trainings of the curve")
    measured = []
    for number, subset in enumerate(subsets):
        with watch(number) as observer:
            folder = root / str(100 * (number + 1) // PARTS)
            one = train_once(inside[number], again, folder, observer)
        measured.append(_measured(subset, one))
    return [*measured, _measured(dataset.for_training()[0], outcome)]


def _measured(photos: Sequence[Photo], outcome: Outcome) -> CurveTraining:
    """Return what the curve is drawn from."""
    record = outcome.run.record
    scores = [record.thresholds.scores[label] for label in record.labels]
    return CurveTraining(
        photos, outcome.found, np.array(scores, np.float32), record.metrics.map_33
    )


def _dataset_of(dataset: Dataset, subset: Subset) -> Dataset:
    """Return a dataset that trains on some photos and measures on the same as ever."""
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
