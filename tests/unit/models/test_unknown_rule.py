"""A box of the class unknown at the place of a named defect is that defect."""

import numpy as np
import pytest

from models.detections import Detections
from models.postprocess import DecisionRule

NAMED, UNKNOWN = 0, 1
RULE = DecisionRule(np.array([0.5, 0.5], np.float32), 0.7, UNKNOWN)


def found(*rows: tuple[list[float], float, int]) -> Detections:
    """Return detections from (box, score, label), best first."""
    ordered = sorted(rows, key=lambda row: -row[1])
    boxes, scores, labels = zip(*ordered, strict=True)
    return Detections(
        np.array(boxes, np.float32), np.array(scores, np.float32), np.array(labels)
    )


@pytest.mark.parametrize("score", [0.6, 0.99])
def test_named_defect_inside_of_an_unknown_box_names_it(score: float) -> None:
    kept = RULE.decide(
        found(([20, 20, 30, 30], 0.8, NAMED), ([0, 0, 48, 48], score, UNKNOWN))
    )
    assert kept.labels.tolist() == [NAMED]


def test_unknown_box_beside_a_named_defect_stays() -> None:
    kept = RULE.decide(
        found(([20, 20, 30, 30], 0.8, NAMED), ([28, 20, 76, 68], 0.9, UNKNOWN))
    )
    assert kept.labels.tolist() == [UNKNOWN, NAMED]


def test_named_detection_below_its_threshold_names_nothing() -> None:
    kept = RULE.decide(
        found(([20, 20, 30, 30], 0.4, NAMED), ([0, 0, 48, 48], 0.9, UNKNOWN))
    )
    assert kept.labels.tolist() == [UNKNOWN]


def test_without_the_rule_the_better_of_two_boxes_far_apart_in_size_stays_too() -> None:
    plain = DecisionRule(np.array([0.5, 0.5], np.float32), 0.7)
    kept = plain.decide(
        found(([20, 20, 30, 30], 0.8, NAMED), ([0, 0, 48, 48], 0.9, UNKNOWN))
    )
    assert len(kept) == 2
