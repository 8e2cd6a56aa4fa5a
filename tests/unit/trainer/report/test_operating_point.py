"""What other thresholds would do to five photos."""

import numpy as np
import pytest

from models.detections import Detections
from models.postprocess import CROSS_CLASS_IOU, DecisionRule
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import count
from trainer.evaluation.thresholds.choose import LOWEST_THRESHOLD, NEVER
from trainer.report.operating_point import (
    IN_USE,
    operating_curve,
    operating_panels,
    shift_thresholds,
    with_intervals,
)

RULE = DecisionRule(np.full(3, 0.5, np.float32), CROSS_CLASS_IOU)


def test_higher_thresholds_find_less_and_alarm_less(
    photos: list[Photo], found: list[Detections]
) -> None:
    curve = operating_curve(found, photos, RULE)
    assert (np.diff(curve.found) <= 0).all()
    assert (np.diff(curve.escaped) >= 0).all()
    assert (np.diff(curve.alarmed) <= 0).all()
    assert (curve.alarmed[0], curve.good) == (2, 2)
    assert (curve.escaped[-1], curve.defective) == (3, 3)


def test_curve_counts_double_boxes_once_as_the_metrics_do(
    photos: list[Photo], found: list[Detections]
) -> None:
    # Every second box of a better one, of another label.
    doubled = [
        Detections(
            np.repeat(each.boxes, 2, axis=0),
            np.repeat(each.scores, 2),
            (np.repeat(each.labels, 2) + np.tile([1, 0], len(each))) % 3,
        )
        for each in found
    ]
    curve = operating_curve(doubled, photos, RULE)
    counts = count(doubled, photos, RULE)
    assert curve.found[curve.shifts == IN_USE].tolist() == [counts.true_positives]
    per_class = operating_curve(doubled, photos, DecisionRule(RULE.score_thresholds))
    assert per_class.found[curve.shifts == IN_USE].tolist() > [counts.true_positives]
    assert (per_class.alarmed == curve.alarmed).all()
    assert (per_class.escaped == curve.escaped).all()


def test_shift_moves_all_thresholds_between_lowest_and_never() -> None:
    thresholds = np.array([0.3, 0.8], np.float32)
    assert shift_thresholds(thresholds, 0) == pytest.approx([0.3, 0.8])
    assert shift_thresholds(thresholds, 1) == pytest.approx([NEVER, NEVER])
    assert shift_thresholds(thresholds, -1) == pytest.approx([LOWEST_THRESHOLD] * 2)


def test_shares_without_any_photo_are_zero_and_unknown() -> None:
    shares, sides = with_intervals(np.zeros(2, np.int64), 0)
    assert shares.tolist() == [0, 0]
    assert sides.tolist() == [[0, 1], [0, 1]]


def test_share_of_all_photos_has_an_interval_up_to_one() -> None:
    shares, sides = with_intervals(np.array([5]), 5)
    assert shares.tolist() == [1]
    assert sides[0].tolist() == pytest.approx([0.566, 1], abs=1e-3)


def test_overkill_is_drawn_only_with_good_photos(
    photos: list[Photo], found: list[Detections]
) -> None:
    both = operating_panels(operating_curve(found, photos, RULE))
    assert len(both) == 2
    alone = operating_panels(operating_curve(found[:3], photos[:3], RULE))
    assert [title for title, _, _ in alone] == ["What other thresholds would do"]
    assert "good parts alarmed" not in alone[0][2]
