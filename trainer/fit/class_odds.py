"""The factors that make the scores of a trained detector's classes comparable."""

from collections.abc import Sequence

import torch

from models.detections import Detections
from models.manifest import ThresholdRule
from trainer.data.dataset import Photo
from trainer.detectors.base import TrainableDetector
from trainer.detectors.yolox import YOLOX
from trainer.evaluation.calibration import fit_class_odds, with_odds
from trainer.fit.options import TrainOptions


def calibrate(
    model: TrainableDetector,
    found: Sequence[Detections],
    photos: Sequence[Photo],
    options: TrainOptions,
) -> list[Detections]:
    """Fit the factors of a detector, and return its detections with them.

    Nothing is fitted for a limit of escapes: it is promised by the photos with a
    defect, which may choose nothing else.

    Args:
        model: Trained, without factors; they are set.
        found: Its detections, one for each photo.
        photos: Held out.
    """
    limits_escapes = options.limit and options.limit.rule is ThresholdRule.ESCAPES
    if not isinstance(model, YOLOX) or limits_escapes:
        return list(found)
    odds = fit_class_odds(found, photos, model.num_classes)
    if odds is None:
        return list(found)
    model.class_odds = torch.from_numpy(odds)
    return [with_odds(detections, odds) for detections in found]


def stored_odds(
    model: TrainableDetector, labels: Sequence[str]
) -> dict[str, float] | None:
    """Return the factors of a detector by label, for its record; None = it has none.

    Args:
        model: That of the named classes.
    """
    if not isinstance(model, YOLOX) or model.class_odds is None:
        return None
    return dict(zip(labels, model.class_odds.tolist(), strict=True))
