"""The factors of a trained detector: set, stored, and left out under a limit."""

import numpy as np
import pytest

from models.detections import Detections
from models.manifest import ThresholdRule
from tests.unit.trainer.evaluation.test_calibration import SOMETIMES, SURE, rows
from trainer.detectors.names import Architecture
from trainer.detectors.zoo import build_detector
from trainer.evaluation.calibration import with_odds
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.fit.class_odds import calibrate, stored_odds
from trainer.fit.options import TrainOptions

LABELS = ("stain", "scratch")
FOUND, PHOTOS = zip(*rows((SURE, 0.9, 90, 10), (SOMETIMES, 0.9, 30, 70)), strict=True)
OPTIONS = TrainOptions(weights="none")
FEW_ESCAPES = TrainOptions(
    weights="none", limit=ErrorLimit(ThresholdRule.ESCAPES, 0.01)
)


def same(a: Detections, b: Detections) -> bool:
    return np.array_equal(a.scores, b.scores)


def test_detector_and_detections_get_the_same_factors() -> None:
    model = build_detector(Architecture.YOLOX_NANO, 2)
    changed = calibrate(model, FOUND, PHOTOS, OPTIONS)
    stored = stored_odds(model, LABELS)
    assert stored is not None
    assert stored["scratch"] < 1 < stored["stain"]
    factors = np.array([stored[name] for name in LABELS], np.float32)
    assert all(map(same, changed, (with_odds(each, factors) for each in FOUND)))


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        # the photos with a defect promise the share that escapes
        (Architecture.YOLOX_NANO, FEW_ESCAPES),
        (Architecture.SSDLITE, OPTIONS),
    ],
)
def test_others_keep_their_scores(
    architecture: Architecture, options: TrainOptions
) -> None:
    model = build_detector(architecture, 2)
    assert all(map(same, calibrate(model, FOUND, PHOTOS, options), FOUND))
    assert stored_odds(model, LABELS) is None
