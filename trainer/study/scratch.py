"""The same training from random weights: what the pretrained ones are worth.

Recipe and schedule are those of the run, to the step, also where a budget of minutes or
an early end decided its length. Only what hangs on the weights differs: statistics of
batches that nothing was learned from are not kept. The training lies in
``RUN/scratch/run/`` and is not trained again once it is finished.
"""

from models.errors import ConfigError
from trainer.data.dataset import Dataset
from trainer.detectors.zoo import NO_WEIGHTS
from trainer.fit.frozen_trunk import Freeze
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import Outcome
from trainer.study.trainings import (
    ObserverFactory,
    keep_plan,
    repeating,
    run_plan,
    train_once,
)

FOLDER_NAME = "scratch"
RUN_NAME = "run"


def refuse_random_start(wishes: TrainOptions) -> None:
    """Stop where the run itself starts from random weights.

    Args:
        wishes: Of the run.

    Raises:
        ConfigError: There is nothing to compare.
    """
    if wishes.weights == NO_WEIGHTS:
        raise ConfigError(
            "--compare scratch: there is nothing to compare.",
            why="The run itself starts from random weights.",
            fix="Leave --weights none or --compare scratch out.",
        )


def train_from_scratch(
    dataset: Dataset, wishes: TrainOptions, outcome: Outcome, watch: ObserverFactory
) -> Outcome:
    """Train once more, from random weights.

    Args:
        dataset: That the run was trained on.
        wishes: Of the run.
        outcome: The run; its folder gets the training.
        watch: Gives who watches it.

    Raises:
        TrainingError: The training there was made with something else.
    """
    record = outcome.run.record
    root = outcome.run.folder / FOLDER_NAME
    start = {
        "weights": NO_WEIGHTS,
        "earlier": None,
        "frozen_norms": record.recipe["batch"] == 1,
        "freeze": Freeze.NOTHING,
    }
    random = record.model_copy(update={"recipe": record.recipe | start})
    again = repeating(random, wishes)
    plan: dict[str, object] = {"dataset_sha256": dataset.sha256}
    keep_plan(root, plan | run_plan(random), "training from scratch")
    with watch(0) as observer:
        return train_once(dataset, again, root / RUN_NAME, observer)
