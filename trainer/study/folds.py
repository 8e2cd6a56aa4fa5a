"""Cross-training: every photo is judged by a detector that has not seen it.

The photos are divided into K folds. K detectors are trained, each on all folds but one,
and each looks at the fold that it was not trained on::

    RUN/folds/
        plan.json           what the folds were made with
        0/ .. K-1/          runs, each held out from its own fold

A fold that is finished is not trained again. Photos to train on and photos to measure
on take part alike: labels of both can be wrong, and K small sets measured together
have tighter intervals than one. The run itself is not touched: it is trained on its own
photos and measured on its own val. Splits that training does not use (test) stay out.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models.boxes import IntArray
from models.detections import Detections
from models.errors import DatasetError, TrainingError
from models.files import write_atomically
from models.tiled_detector import tiled
from trainer.data.arrangement import shows_defect
from trainer.data.dataset import Dataset, Photo
from trainer.data.split import Fold, folds
from trainer.fit.recipe import Observer, train
from trainer.fit.wishes import Wishes
from trainer.judge.metrics import predict_photos
from trainer.judge.torch_detector import TorchDetector
from trainer.run import CHECKPOINT_NAME, RECORD_NAME, open_run, unwritable

FOLDER_NAME = "folds"
PLAN_NAME = "plan.json"

Watch = Callable[[int], AbstractContextManager[Observer]]


@dataclass(frozen=True, slots=True)
class CrossTraining:
    """Every photo with what a detector says that was not trained on it.

    Attributes:
        photos: All that took part, fold by fold.
        found: One for each photo, down to a low score.
        fold_of: ``[N]`` int64, number of the fold that held the photo out.
    """

    photos: tuple[Photo, ...]
    found: tuple[Detections, ...]
    fold_of: IntArray


def cross_photos(dataset: Dataset) -> tuple[Photo, ...]:
    """Return the photos that take part: those to train on, then those to measure on.

    Args:
        dataset: Checked.

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
        dataset: Checked.
        count: Folds, at least 2.
        seed: Of the division.
        groups: ``[N]`` group of each of ``cross_photos``; none is torn apart; None =
            those of the dataset's division.

    Raises:
        DatasetError: Too few photos with a defect for so many folds.
    """
    photos = cross_photos(dataset)
    together = dataset.division.groups_of(photos) if groups is None else groups
    divided = folds(photos, count, seed, together)
    if all(shows_defect(f.train) and shows_defect(f.held_out) for f in divided):
        return divided
    defective = sum(not photo.is_good for fold in divided for photo in fold.held_out)
    raise DatasetError(
        f"{dataset.root}: too few photos for --folds {count}.",
        why=f"{defective} photos have a labelled defect, and each fold needs one of "
        "its own to be measured on.",
        fix="Ask for fewer folds, or label defects in more photos.",
    )


def cross_train(
    dataset: Dataset,
    wishes: Wishes,
    out: Path,
    watch: Watch,
    *,
    count: int,
) -> CrossTraining:
    """Train on all folds but one, in turn, and look at the one.

    Args:
        dataset: Checked.
        wishes: Of every one of the trainings.
        out: Folder of the run that they belong to; exists.
        watch: Gives who watches the fold of a number, from 0.
        count: Folds, at least 2.
        groups: ``[N]`` group of each of ``cross_photos``; none is torn apart; None =
            those of the dataset's division.

    Raises:
        DatasetError: Too few photos with a defect for so many folds.
        TrainingError: The folds in ``out`` were made with something else.
    """
    divided = divide_photos(dataset, count, wishes.seed)
    root = out / FOLDER_NAME
    _keep_plan(root, _plan(dataset, wishes, divided))
    found: list[Detections] = []
    for number, fold in enumerate(divided):
        with watch(number) as observer:
            folder = root / str(number)
            found += _judged(dataset, fold, wishes, folder, observer)
    sizes = [len(fold.held_out) for fold in divided]
    return CrossTraining(
        tuple(photo for fold in divided for photo in fold.held_out),
        tuple(found),
        np.repeat(np.arange(count, dtype=np.int64), sizes),
    )


def _judged(
    dataset: Dataset, fold: Fold[Photo], wishes: Wishes, out: Path, observer: Observer
) -> Sequence[Detections]:
    """Return what the detector of a fold says of it; trained where it is not yet."""
    if (out / RECORD_NAME).exists():
        run = open_run(out)
        size_px = run.record.input_height_px, run.record.input_width_px
        tick = observer.measuring(len(fold.held_out))
        return predict_photos(
            tiled(TorchDetector(run.model, *size_px), run.record.tiles),
            fold.held_out,
            len(dataset.labels),
            on_photo=tick,
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise unwritable(out, exc) from exc
    begun = (out / CHECKPOINT_NAME).exists()
    alone = _dataset_of(dataset, fold)
    return train(alone, wishes, out, observer, resume=begun).found


def _dataset_of(dataset: Dataset, fold: Fold[Photo]) -> Dataset:
    """Return a dataset whose val is one fold."""
    splits = {"train": fold.train, "val": fold.held_out}
    division = dataset.division.divided_as(fold.held_out)
    content = _hash(dataset, fold)
    return Dataset(dataset.root, dataset.labels, splits, (), content, division)


def _hash(dataset: Dataset, fold: Fold[Photo]) -> str:
    """Return a hash of all photos and labels, and of which are held out."""
    digest = hashlib.sha256(dataset.sha256.encode())
    for photo in fold.held_out:
        digest.update(photo.sha256.encode())
    return digest.hexdigest()


def _plan(
    dataset: Dataset, wishes: Wishes, divided: Sequence[Fold[Photo]]
) -> dict[str, object]:
    """Return what must be the same for folds that were trained at another time."""
    plain = json.loads(json.dumps(asdict(wishes), default=str))
    return {
        "folds": len(divided),
        "photos": [len(fold.held_out) for fold in divided],
        "held_out_sha256": [_hash(dataset, fold) for fold in divided],
        "wishes": plain,
    }


def _keep_plan(root: Path, plan: dict[str, object]) -> None:
    """Write the plan, or stop where the folds there follow another one."""
    path = root / PLAN_NAME
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_atomically(path, (json.dumps(plan, indent=2) + "\n").encode())
            return
        earlier = json.loads(path.read_bytes())
    except OSError as exc:
        raise unwritable(root, exc) from exc
    except ValueError:
        earlier = None
    if not isinstance(earlier, dict):
        earlier = {}
    changed = [key for key, value in plan.items() if earlier.get(key) != value]
    if changed:
        raise TrainingError(
            f"{path}: the folds there were made with other {changed[0]}.",
            why=f"Then {earlier.get(changed[0])}, now {plan[changed[0]]}.",
            fix="Resume with the same photos and options, or remove the folder "
            f"{root} to train the folds anew.",
        )
