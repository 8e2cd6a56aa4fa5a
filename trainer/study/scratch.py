"""The same training from random weights, to compare the pretrained ones with.

Recipe and schedule are those of the run, to the step, also where a budget of minutes or
an early end decided its length. Only what depends on the weights differs: the running
statistics of batch norms are not frozen, because there are no pretrained ones to keep.
The training is written to ``RUN/scratch/run/`` and not repeated once it is finished.
"""

from models.errors import ConfigError
from trainer.data.dataset import Dataset
from trainer.detectors.zoo import NO_WEIGHTS
from trainer.fit.choices import Freeze
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import Outcome
from trainer.study.trainings import (
    ObserverFactory,
    repeated_options,
    require_same_plan,
    run_plan,
    train_once,
)

FOLDER_NAME = "scratch"
RUN_NAME = "run"


def refuse_random_start(options: TrainOptions) -> None:
    """Raise where the run itself starts from random weights.

    Raises:
        ConfigError: There is nothing to compare.
    """
    if options.weights == NO_WEIGHTS:
        raise ConfigError(
            "--compare scratch: there is nothing to compare.",
            why="The run itself starts from random weights.",
            fix="Leave --weights none or --compare scratch out.",
        )


def train_from_scratch(
    dataset: Dataset, options: TrainOptions, outcome: Outcome, observe: ObserverFactory
) -> Outcome:
    """Train once more, from random weights.

    Args:
        dataset: The one that the run was trained on.
        outcome: The run; the training is written to its folder.
        observe: Opens the observer; called with 0.

    Raises:
        TrainingError: The training there was made with other photos or options.
    """
    record = outcome.run.record
    root = outcome.run.folder / FOLDER_NAME
    start = {
        "weights": NO_WEIGHTS,
        "earlier": None,
        "frozen_norms": record.recipe["batch"] == 1,  # one photo gives no statistics
        "freeze": Freeze.NOTHING,
    }
    random = record.model_copy(update={"recipe": record.recipe | start})
    repeated = repeated_options(random, options)
    plan: dict[str, object] = {"dataset_sha256": dataset.sha256}
    require_same_plan(root, plan | run_plan(random), "training from scratch")
    with observe(0) as observer:
        return train_once(dataset, repeated, root / RUN_NAME, observer)
