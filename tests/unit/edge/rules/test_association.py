"""Boxes of two frames are paired by displacement, size and overlap."""

import numpy as np
import pytest

from edge.rules.association import (
    BOTH_RATIO_MAX,
    SIDE_RATIO_MAX,
    Matching,
    TrackPairs,
    distinct_indices,
    overlap_of_smaller,
    pair_up,
)
from models.boxes import FloatArray
from models.detections import Detections


def boxes(*rows: tuple[float, float, float, float]) -> FloatArray:
    return np.array(rows, np.float32).reshape(-1, 4)


def detections(*rows: tuple[float, float, float, float], label: int = 0) -> Detections:
    scores = np.linspace(0.9, 0.5, len(rows), dtype=np.float32)
    return Detections(boxes(*rows), scores, np.full(len(rows), label))


def pairs(before: FloatArray, found: Detections) -> TrackPairs:
    elapsed = np.ones(len(before), np.float32)
    return pair_up(before, [0] * len(before), elapsed, found)


def test_displacement_is_that_of_edges_and_centre() -> None:
    paired = pairs(boxes((0, 0, 10, 10)), detections((40, 5, 50, 15)))
    assert paired.shifts[:, :, 0, 0].tolist() == [[40] * 3, [5] * 3]
    assert paired.residuals(np.array([40, 5], np.float32)).tolist() == [[0]]
    assert paired.overlaps.tolist() == [[0]]


def test_box_cut_by_the_edge_of_the_frame_is_measured_at_its_other_edge() -> None:
    # It enters at the left edge: 10 px are seen of 20, then all.
    paired = pairs(boxes((0, 0, 10, 20)), detections((10, 0, 30, 20)))
    assert paired.residuals(np.array([20, 0], np.float32)).tolist() == [[0]]
    assert paired.shift(0, 0, np.array([20, 0], np.float32)).tolist() == [20, 0]


@pytest.mark.parametrize(
    ("width", "height", "is_compatible"),
    [
        (10, 10, True),
        (10 * SIDE_RATIO_MAX, 10 * SIDE_RATIO_MAX, True),
        (10 * SIDE_RATIO_MAX + 1, 10 * SIDE_RATIO_MAX + 1, False),
        (10 * BOTH_RATIO_MAX, 10, True),  # one side cut by the edge of the frame
        (10 * BOTH_RATIO_MAX + 1, 10, False),
    ],
)
def test_boxes_of_other_sizes_are_not_compatible(
    width: float, height: float, is_compatible: bool
) -> None:
    paired = pairs(boxes((0, 0, 10, 10)), detections((0, 0, width, height)))
    assert paired.compatible.tolist() == [[is_compatible]]


def test_other_label_is_marked() -> None:
    paired = pairs(boxes((0, 0, 9, 9)), detections((0, 0, 9, 9), label=1))
    assert paired.relabelled.tolist() == [[True]]


def matching(tracks: int, found: int) -> Matching:
    shape = (tracks, found)
    return Matching(np.full(shape, np.inf, np.float32), np.zeros(shape), 100)


def test_cheapest_pair_is_chosen_first() -> None:
    match = matching(2, 2)
    residuals = np.array([[5, 1], [2, 50]], np.float32)
    match.offer(0, residuals, np.full((2, 2), 60, np.float32))
    assert match.choose() == {0: 1, 1: 0}


def test_pair_beyond_its_tolerance_is_not_chosen() -> None:
    match = matching(1, 2)
    residuals = np.array([[5, 1]], np.float32)
    match.offer(0, residuals, np.array([[10, 0]], np.float32))
    assert match.choose() == {0: 0}


def test_better_evidence_beats_a_smaller_residual_of_worse_evidence() -> None:
    match = matching(1, 2)
    near = np.array([[1, 99]], np.float32)
    match.offer(1.0, near, np.array([[10, 0]], np.float32))
    match.offer(0.0, np.array([[99, 20]], np.float32), np.array([[0, 30]], np.float32))
    assert match.choose() == {0: 1}


def test_overlap_is_the_share_of_the_smaller_box() -> None:
    shares = overlap_of_smaller(
        boxes((0, 0, 100, 10)), boxes((90, 0, 110, 10), (200, 0, 210, 10))
    )
    assert shares.tolist() == [[0.5, 0]]


def test_second_label_of_one_defect_is_left_out() -> None:
    found = detections((0, 0, 20, 20), (1, 1, 20, 20), (60, 0, 80, 20))
    assert distinct_indices(found).tolist() == [0, 2]
