"""Trainings beside a run: each in its own folder, and none of them twice.

A plan beside them says what they were made with. Where the plan of today is another
one, nothing is mixed: it stops, and says what changed.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from models.errors import TrainingError
from models.files import write_atomically
from models.tiled_detector import tiled
from trainer.data.dataset import Dataset
from trainer.evaluation.metrics import predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import Observer, Outcome, train
from trainer.fit.repeat import Repeat
from trainer.run import CHECKPOINT_NAME, RECORD_NAME, RunRecord, open_run, unwritable

PLAN_NAME = "plan.json"

ObserverFactory = Callable[[int], AbstractContextManager[Observer]]
"""Gives who watches the training of a number, from 0."""


def train_once(
    dataset: Dataset, wishes: TrainOptions, out: Path, observer: Observer
) -> Outcome:
    """Train, go on with a training, or open it where it is finished.

    Args:
        dataset: Checked; the same as when it was begun.
        wishes: Likewise.
        out: Folder of the training; made if it does not exist.
        observer: Told of every step.

    Raises:
        TrainingError: As ``train``, or the finished run is damaged.
    """
    if (out / RECORD_NAME).exists():
        held_out = dataset.for_training()[1]
        run = open_run(out)
        size_px = run.record.input_height_px, run.record.input_width_px
        found = predict_photos(
            tiled(TorchDetector(run.model, *size_px), run.record.tiles),
            held_out,
            len(dataset.labels),
            on_photo=observer.measuring(len(held_out)),
        )
        return Outcome(run, found, held_out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise unwritable(out, exc) from exc
    begun = (out / CHECKPOINT_NAME).exists()
    return train(dataset, wishes, out, observer, resume=begun)


def keep_plan(root: Path, plan: dict[str, object], what: str) -> None:
    """Write the plan, or stop where the trainings there follow another one.

    Args:
        root: Folder of the trainings; made if it does not exist.
        plan: What must be the same; plain values of JSON.
        what: The trainings, in the user's words.

    Raises:
        TrainingError: The plan there is another one, or cannot be written.
    """
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
            f"{path}: the {what} there were made with other {changed[0]}.",
            why=f"Then {earlier.get(changed[0])}, now {plan[changed[0]]}.",
            fix="Resume with the same photos and options, or remove the folder "
            f"{root} to train the {what} anew.",
        )


def repeating(record: RunRecord, wishes: TrainOptions) -> TrainOptions:
    """Return the wish to train as a run was trained, to the step.

    Args:
        record: Of the finished run.
        wishes: That it was trained with.

    Raises:
        TrainingError: It does not say for how long.
    """
    if record.schedule is None:
        raise TrainingError(
            f"{record.name}: its schedule is not recorded.",
            why="It was trained by an older version.",
            fix="Train it again.",
        )
    repeat = Repeat(record.name, record, record.schedule)
    weights = str(record.recipe["weights"])
    return TrainOptions(
        weights=weights, repeats=repeat, limit=wishes.limit, seed=record.seed
    )


def run_plan(record: RunRecord) -> dict[str, object]:
    """Return what of a run must be the same for trainings that repeat it.

    Args:
        record: Of the finished run.
    """
    whole: dict[str, object] = record.model_dump(mode="json")
    plan = {key: whole[key] for key in ("detector", "activation", "recipe", "schedule")}
    rule = record.thresholds
    return plan | {"limit": [rule.rule.value, rule.target]}
