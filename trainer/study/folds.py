"""Cross-training: every photo is evaluated by a detector that was not trained on it.

The photos are divided into K folds. K detectors are trained, each on all folds but one,
and each is evaluated on the fold that it was not trained on::

    RUN/folds/
        plan.json           what the folds were made with
        0/ .. K-1/          runs, each held out from its own fold

A fold that is finished is not trained again. Its training runs to the end of its
schedule: the held-out photos neither stop it early nor select its weights. Photos of
train and val both take part: labels of both can be wrong, and K small sets measured
together have tighter intervals than one. The run itself is trained on its own photos
and measured on its own val; its threshold is chosen on all folds
(``trainer.study.fold_thresholds``). Splits that training does not use (test)
do not take part.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from models.boxes import IntArray
from models.counted import agreeing, counted
from models.detections import Detections
from models.errors import DatasetError
from trainer.data.dataset import Dataset, Photo
from trainer.data.splitting.assign import shows_defect
from trainer.data.splitting.stratify import Fold, folds
from trainer.fit.options import TrainOptions
from trainer.study.trainings import ObserverFactory, require_same_plan, train_once

FOLDER_NAME = "folds"


@dataclass(frozen=True, slots=True)
class CrossTraining:
    """Every photo with the detections of a detector that was not trained on it."""

    photos: tuple[Photo, ...]  # all that took part, fold by fold
    found: tuple[Detections, ...]  # one for each photo, down to a low score
    fold_of: IntArray  # [N] int64, number of the fold that the photo was held out in


def cross_photos(dataset: Dataset) -> tuple[Photo, ...]:
    """Return the photos that take part: train, then val.

    Raises:
        DatasetError: Nothing to train on.
    """
    trained_on, held_out = dataset.for_training()
    return trained_on + held_out


def divide_photos(
    dataset: Dataset, count: int, seed: int, groups: Sequence[int] | None = None
) -> tuple[Fold[Photo], ...]:
    """Return the folds of a dataset, each with a defect inside and outside.

    Args:
        count: Folds, at least 2.
        groups: ``[N]`` group of each of ``cross_photos``, kept together; None = the
            groups of the dataset.

    Raises:
        DatasetError: Too few photos with a defect for so many folds.
    """
    photos = cross_photos(dataset)
    together = dataset.split_assignment.groups_of(photos) if groups is None else groups
    divided = folds(photos, count, seed, together)
    if all(shows_defect(f.train) and shows_defect(f.held_out) for f in divided):
        return divided
    defective = sum(not photo.is_good for fold in divided for photo in fold.held_out)
    raise DatasetError(
        f"{dataset.root}: too few photos for --folds {count}.",
        why=f"{counted(defective, 'photo')} {agreeing(defective, 'has', 'have')} a "
        "labelled defect, and each fold "
        "needs one of "
        "its own to be measured on.",
        fix="Ask for fewer folds, or label defects in more photos.",
    )


def cross_train(
    dataset: Dataset,
    options: TrainOptions,
    out: Path,
    observe: ObserverFactory,
    *,
    count: int,
) -> CrossTraining:
    """Train on all folds but one, in turn, and evaluate that one.

    Args:
        out: Folder of the run that they belong to; exists.
        observe: Opens the observer of a fold by its number, from 0.
        count: Folds, at least 2.

    Raises:
        DatasetError: Too few photos with a defect for so many folds.
        TrainingError: The folds in ``out`` were made with other photos or options.
    """
    divided = divide_photos(dataset, count, options.seed)
    root = out / FOLDER_NAME
    # the held-out photos must not select the weights that are evaluated on them
    unselected = replace(options, selects=False)
    require_same_plan(root, _plan(dataset, unselected, divided), FOLDER_NAME)
    found: list[Detections] = []
    for number, fold in enumerate(divided):
        with observe(number) as observer:
            fold_dataset = _dataset_of(dataset, fold)
            folder = root / str(number)
            found += train_once(fold_dataset, unselected, folder, observer).found
    sizes = [len(fold.held_out) for fold in divided]
    return CrossTraining(
        tuple(photo for fold in divided for photo in fold.held_out),
        tuple(found),
        np.repeat(np.arange(count, dtype=np.int64), sizes),
    )


def _dataset_of(dataset: Dataset, fold: Fold[Photo]) -> Dataset:
    splits = {"train": fold.train, "val": fold.held_out}
    division = dataset.split_assignment.with_held_out(fold.held_out)
    content = _hash(dataset, fold)
    return Dataset(dataset.root, dataset.labels, splits, (), content, division)


def _hash(dataset: Dataset, fold: Fold[Photo]) -> str:
    """Return a hash of all photos and labels, and of which are held out."""
    digest = hashlib.sha256(dataset.sha256.encode())
    for photo in fold.held_out:
        digest.update(photo.sha256.encode())
    return digest.hexdigest()


def _plan(
    dataset: Dataset, options: TrainOptions, divided: Sequence[Fold[Photo]]
) -> dict[str, object]:
    """Return what must be the same for folds that were trained earlier."""
    plain = json.loads(json.dumps(asdict(options), default=str))
    return {
        "folds": len(divided),
        "photos": [len(fold.held_out) for fold in divided],
        "held_out_sha256": [_hash(dataset, fold) for fold in divided],
        "wishes": plain,
    }
