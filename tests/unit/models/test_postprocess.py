import numpy as np
import pytest

from models import postprocess
from models.boxes import FloatArray
from models.detections import Detections
from models.postprocess import (
    CROSS_CLASS_IOU,
    MAX_CANDIDATES,
    DecisionRule,
    decode,
    nms,
)

TWO_LABELS = np.array([0.5, 0.3], np.float32)


def output(*anchors: tuple[float, ...]) -> FloatArray:
    """Return ``[4 + C, A]`` for rows of cx, cy, w, h and scores."""
    return np.array(anchors, np.float32).T


def test_each_label_has_its_own_threshold() -> None:
    found = decode(
        output((10, 10, 4, 4, 0.4, 0.4), (50, 50, 4, 4, 0.6, 0.2)), TWO_LABELS
    )
    assert found.labels.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.6, 0.4])
    assert found.boxes.tolist() == [[48, 48, 52, 52], [8, 8, 12, 12]]
    assert (found.labels.dtype, found.scores.dtype) == (np.int64, np.float32)


def test_score_at_the_threshold_counts() -> None:
    assert len(decode(output((10, 10, 4, 4, 0.5, 0)), TWO_LABELS)) == 1


def test_one_anchor_can_be_of_two_labels() -> None:
    found = decode(output((10, 10, 4, 4, 0.9, 0.8)), TWO_LABELS)
    assert found.labels.tolist() == [0, 1]


def test_nothing_above_the_threshold_gives_empty_detections() -> None:
    found = decode(output((10, 10, 4, 4, 0.1, 0.1)), TWO_LABELS)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_weaker_box_of_the_same_label_is_dropped() -> None:
    close = output((10, 10, 10, 10, 0.7, 0), (11, 10, 10, 10, 0.9, 0))
    assert decode(close, TWO_LABELS).scores.tolist() == pytest.approx([0.9])
    assert len(decode(close, TWO_LABELS, iou_threshold=0.9)) == 2


def test_box_that_a_dropped_box_overlaps_is_kept() -> None:
    row = output(
        (10, 10, 10, 10, 0.9, 0), (13, 10, 10, 10, 0.8, 0), (16, 10, 10, 10, 0.7, 0)
    )
    found = decode(row, TWO_LABELS, iou_threshold=0.5)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])


def test_the_best_detections_are_returned_up_to_the_limit() -> None:
    row = output(*((100 * i, 10, 4, 4, 0.5 + i / 100, 0) for i in range(20)))
    found = decode(row, TWO_LABELS, max_detections=3)
    assert found.scores.tolist() == pytest.approx([0.69, 0.68, 0.67])


def test_number_of_candidates_is_bounded() -> None:
    anchors = 3 * MAX_CANDIDATES
    flood = np.full((6, anchors), 0.9, np.float32)
    flood[0] = np.arange(anchors) * 100
    assert len(decode(flood, TWO_LABELS, max_detections=10**6)) == MAX_CANDIDATES


def test_output_of_another_number_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[6, A\], got \(7, 1\)"):
        decode(np.zeros((7, 1), np.float32), TWO_LABELS)


def test_nms_keeps_overlapping_boxes_of_different_labels() -> None:
    same = np.array([[0, 0, 4, 4]] * 3, np.float32)
    assert nms(same, np.array([0, 1, 0]), 0.5).tolist() == [0, 1]


def test_nms_without_boxes_returns_no_positions() -> None:
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), 0.5).shape == (0,)


def at(*rows: tuple[float, float, int]) -> Detections:
    """Return boxes of 10 x 10 px from left side, score and label, best first."""
    return Detections(
        np.array([[x, 0, x + 10, 10] for x, _, _ in rows], np.float32),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([label for _, _, label in rows], np.int64),
    )


DOUBLE = at((0, 0.9, 0), (1, 0.8, 1))  # IoU 0.82
TOUCHING = at((0, 0.9, 0), (2, 0.8, 1))  # IoU 0.67, as no two labelled defects


def test_boxes_of_two_labels_at_one_place_are_one_defect_of_the_better_label() -> None:
    decided = DecisionRule(TWO_LABELS, CROSS_CLASS_IOU).decide(DOUBLE)
    assert decided.labels.tolist() == [0]


def test_two_defects_that_overlap_stay_two() -> None:
    rule = DecisionRule(TWO_LABELS, CROSS_CLASS_IOU)
    assert rule.positions(TOUCHING).tolist() == [0, 1]


def test_small_defect_inside_a_large_one_stays() -> None:
    inside = Detections(
        np.array([[0, 0, 40, 40], [10, 10, 14, 14]], np.float32),
        np.array([0.9, 0.8], np.float32),
        np.array([0, 1]),
    )
    assert len(DecisionRule(TWO_LABELS, CROSS_CLASS_IOU).decide(inside)) == 2


def test_boxes_of_one_label_are_left_to_nms() -> None:
    same = at((0, 0.9, 1), (1, 0.8, 1))
    assert len(DecisionRule(TWO_LABELS, CROSS_CLASS_IOU).decide(same)) == 2


def test_without_a_limit_each_label_is_decided_on_its_own() -> None:
    assert DecisionRule(TWO_LABELS).positions(DOUBLE).tolist() == [0, 1]


def test_box_below_its_own_threshold_removes_no_other() -> None:
    rule = DecisionRule(np.array([0.95, 0.3], np.float32), CROSS_CLASS_IOU)
    assert rule.positions(DOUBLE).tolist() == [1]


def test_dropped_box_removes_no_third_one() -> None:
    row = at((0, 0.9, 0), (1.5, 0.8, 1), (3, 0.7, 0))  # IoU 0.74 to the neighbour
    assert DecisionRule(TWO_LABELS, CROSS_CLASS_IOU).positions(row).tolist() == [0, 2]


def test_decoding_keeps_the_candidates_of_every_label_for_average_precision() -> None:
    found = decode(output((10, 10, 4, 4, 0.9, 0.8)), TWO_LABELS)
    assert len(found) == 2
    assert len(DecisionRule(TWO_LABELS, CROSS_CLASS_IOU).decide(found)) == 1


def test_many_boxes_are_suppressed_in_blocks_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (150, 2))
    boxes = np.concatenate([corners, corners + 20], axis=1).astype(np.float32)
    labels = rng.integers(0, 2, 150)
    found = Detections(boxes, np.linspace(1, 0.6, 150, dtype=np.float32), labels)
    rule = DecisionRule(TWO_LABELS, 0.5)
    at_once = nms(boxes, labels, 0.5).tolist(), rule.positions(found).tolist()
    monkeypatch.setattr(postprocess, "BLOCK_PAIRS", 7 * 150)
    in_blocks = nms(boxes, labels, 0.5).tolist(), rule.positions(found).tolist()
    assert in_blocks == at_once
    assert 0 < len(at_once[1]) < 150
