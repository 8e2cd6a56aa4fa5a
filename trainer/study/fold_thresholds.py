"""The threshold of a run, chosen on the photos of all folds of its cross-training.

The held-out photos of one run are few; over the folds every photo was scored by a
detector that was not trained on it, and a group is in one fold as a whole. So more good
parts, of more groups, choose the threshold. What they promise is weaker: the detectors
of the folds are not the final one. In practice about the share holds, as far as the
final one scores good parts as they do. (Theorem 4 of CV+ guarantees twice the share of
a vote of all detectors of the folds, which is not what runs on the line.)

Source:
    CV+ (Barber, Candes, Ramdas and Tibshirani, arXiv:1905.02928, theorem 4) and
    cross-conformal prediction (Vovk, arXiv:1208.0806).
"""

from models.manifest import PromiseBasis
from trainer.data.dataset import Dataset
from trainer.evaluation.leakage import trained_parts
from trainer.evaluation.metrics import measure
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.evaluation.thresholds.parts import PhotoOrigins
from trainer.fit.recipe import Outcome
from trainer.run import write_run
from trainer.study.folds import CrossTraining
from trainer.study.pooled import SPLIT_NAME


def choose_on_folds(
    crossed: CrossTraining,
    dataset: Dataset,
    limit: ErrorLimit | None,
    outcome: Outcome,
) -> Outcome:
    """Write the run with the threshold of all folds, and its metrics at it.

    Args:
        crossed: The cross-training beside the run.
        limit: As the run was trained with; None = the default rule.
        outcome: The run; its photos are measured at the new threshold.

    Raises:
        TrainingError: The run cannot be written.
    """
    record, assignment = outcome.run.record, dataset.split_assignment
    thresholds = choose_thresholds(
        crossed.found,
        crossed.photos,
        record.labels,
        SPLIT_NAME,
        limit,
        origins=PhotoOrigins.of(assignment, crossed.photos, ()),
        basis=PromiseBasis.FOLDS,
    )
    measured = measure(
        outcome.found, outcome.photos, record.labels, thresholds, record.metrics.split
    )
    trained_on = dataset.for_training()[0]
    known = trained_parts(assignment, trained_on, outcome.photos)
    changed = record.model_copy(
        update={"thresholds": thresholds, "metrics": known.mask(measured)}
    )
    run = write_run(outcome.run.folder, changed, outcome.run.model)
    return Outcome(run, outcome.found, outcome.photos)
