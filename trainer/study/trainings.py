"""Trainings beside a run: each in its own folder, and each made only once.

A plan beside them records what they were made with. Where it differs from what is
asked for now, the study stops and names the difference, so that nothing is mixed.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from models.errors import TrainingError
from models.files import make_folder, read_regular, write_atomically
from models.tiled_detector import tiled
from trainer.data.dataset import Dataset
from trainer.evaluation.metrics import predict_photos
from trainer.evaluation.part import measured_part
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import Observer, Outcome, train
from trainer.fit.repeat import Repeat
from trainer.run import open_run
from trainer.run_record import CHECKPOINT_NAME, RECORD_NAME, RunRecord, unwritable

PLAN_NAME = "plan.json"
PLAN_MAX_BYTES = 16 << 20  # it has some 2 kB

ObserverFactory = Callable[[int], AbstractContextManager[Observer]]
"""Opens the observer of a training by its number, from 0."""

# keys of plan.json that the user knows by another name
OPTION_NAMES = {"wishes": "options"}


def train_once(
    dataset: Dataset, options: TrainOptions, out: Path, observer: Observer
) -> Outcome:
    """Train, continue a training, or open it where it is finished.

    Args:
        dataset: The same as when the training was started.
        options: Likewise.
        out: Folder of the training; made if it does not exist.

    Raises:
        TrainingError: As ``train``, or the finished run is damaged.
    """
    if (out / RECORD_NAME).exists():
        run = open_run(out)
        schedule = run.record.schedule
        part = schedule.final_photos if schedule else 0
        held_out = measured_part(dataset.for_training()[1], part)
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
    is_started = (out / CHECKPOINT_NAME).exists()
    return train(dataset, options, out, observer, resume=is_started)


def require_same_plan(root: Path, plan: dict[str, object], what: str) -> None:
    """Write the plan, or raise where the trainings there follow another one.

    Args:
        root: Folder of the trainings; made if it does not exist.
        plan: What must be the same, as JSON values.

    Raises:
        TrainingError: The plan there is another one, or cannot be written.
    """
    path = root / PLAN_NAME
    try:
        make_folder(root)
        if not path.exists():
            write_atomically(path, (json.dumps(plan, indent=2) + "\n").encode())
            return
        earlier = json.loads(read_regular(path, PLAN_MAX_BYTES))
    except OSError as exc:
        raise unwritable(root, exc) from exc
    except ValueError:
        earlier = None
    if not isinstance(earlier, dict):
        earlier = {}
    changed = [key for key, value in plan.items() if earlier.get(key) != value]
    if changed:
        raise TrainingError(
            f"{path}: the {what} there were made with other "
            f"{OPTION_NAMES.get(changed[0], changed[0])}.",
            why=f"Then {earlier.get(changed[0])}, now {plan[changed[0]]}.",
            fix="Resume with the same photos and options, or remove the folder "
            f"{root} to train the {what} again.",
        )


def repeated_options(record: RunRecord, options: TrainOptions) -> TrainOptions:
    """Return the options to train as a finished run was trained, to the step.

    Args:
        options: The ones that the run was trained with.

    Raises:
        TrainingError: Its schedule is not recorded.
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
        weights=weights, repeats=repeat, limit=options.limit, seed=record.seed
    )


def run_plan(record: RunRecord) -> dict[str, object]:
    """Return the parts of a run that trainings which repeat it must share."""
    whole: dict[str, object] = record.model_dump(mode="json")
    plan = {key: whole[key] for key in ("detector", "activation", "recipe", "schedule")}
    rule = record.thresholds
    return plan | {"limit": [rule.rule.value, rule.target]}
