"""The metrics over all folds of a cross-training together.

Each fold is measured at thresholds that were chosen on the other folds. No photo takes
part in the choice of the threshold that it is counted at, so the intervals are not
optimistic.
"""

from collections.abc import Sequence
from dataclasses import astuple, fields

import numpy as np

from models.detections import Detections
from models.manifest import Metrics
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import Counts, count, metrics_of
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.evaluation.thresholds.parts import NO_ORIGINS, PhotoOrigins
from trainer.study.folds import CrossTraining

SPLIT_NAME = "folds"


def pooled_metrics(
    crossed: CrossTraining,
    labels: Sequence[str],
    limit: ErrorLimit | None = None,
    origins: PhotoOrigins = NO_ORIGINS,
) -> Metrics:
    """Return the metrics of one set that is as large as all folds.

    Args:
        limit: As the run was trained with; None = the default rule.
        origins: Which photos show one part, and their groups; as for the threshold
            of the run.
    """
    total = np.zeros(len(fields(Counts)), np.int64)
    for fold in np.unique(crossed.fold_of):
        inside, outside = crossed.fold_of == fold, crossed.fold_of != fold
        chosen = choose_thresholds(
            *_part(crossed, outside), labels, SPLIT_NAME, limit, origins=origins
        )
        rule = chosen.decision_rule(labels)
        total += astuple(count(*_part(crossed, inside), rule))
    counts = Counts(*(int(number) for number in total))
    return metrics_of(crossed.found, crossed.photos, len(labels), counts, SPLIT_NAME)


def _part(
    crossed: CrossTraining, chosen: np.ndarray
) -> tuple[list[Detections], list[Photo]]:
    indexes = np.flatnonzero(chosen)
    return [crossed.found[i] for i in indexes], [crossed.photos[i] for i in indexes]
