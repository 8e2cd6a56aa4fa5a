import numpy as np
import pytest

from models.boxes import FloatArray
from models.postprocess import MAX_CANDIDATES, decode, nms

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
