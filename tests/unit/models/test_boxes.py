import numpy as np
import pytest

from models.boxes import Boxes, area, best_overlaps, clip, cxcywh_to_xyxy, iou


def boxes(*rows: tuple[float, float, float, float]) -> Boxes:
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 4, 4), 1.0),
        ((0, 0, 2, 4), 0.5),
        ((2, 0, 6, 4), 1 / 3),
        ((1, 1, 3, 3), 0.25),
        ((4, 0, 8, 4), 0.0),  # they touch
        ((9, 9, 10, 10), 0.0),
    ],
)
def test_iou_with_a_square_of_four(
    other: tuple[float, float, float, float], expected: float
) -> None:
    square = boxes((0, 0, 4, 4))
    assert iou(square, boxes(other))[0, 0] == pytest.approx(expected)
    assert iou(boxes(other), square)[0, 0] == pytest.approx(expected)


def test_iou_has_a_row_for_each_first_and_a_column_for_each_second_box() -> None:
    a = boxes((0, 0, 1, 1), (0, 0, 2, 2), (5, 5, 6, 6))
    result = iou(a, a[:2])
    assert result.shape == (3, 2)
    assert result.dtype == np.float32
    assert result.tolist() == [[1, 0.25], [0.25, 1], [0, 0]]


def test_iou_of_boxes_without_area_is_zero() -> None:
    point = boxes((3, 3, 3, 3))
    assert iou(point, point)[0, 0] == 0


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 2), (2, 0)])
def test_iou_with_no_boxes_is_empty(n: int, m: int) -> None:
    assert iou(np.zeros((n, 4), np.float32), np.ones((m, 4), np.float32)).shape == (
        n,
        m,
    )


def test_iou_refuses_arrays_that_are_not_boxes() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 5\)"):
        iou(np.zeros((1, 5), np.float32), boxes((0, 0, 1, 1)))


def test_area_of_a_box_with_negative_sides_is_zero() -> None:
    turned = boxes((0, 0, 2, 3), (2, 0, 0, 3), (2, 3, 0, 0))
    assert area(turned).tolist() == [6, 0, 0]


def test_clipped_boxes_are_inside_and_the_given_ones_are_unchanged() -> None:
    given = boxes((-5, -5, 5, 5), (90, 40, 120, 70))
    assert clip(given, 100, 50).tolist() == [[0, 0, 5, 5], [90, 40, 100, 50]]
    assert given[0, 0] == -5


def test_centre_and_size_become_corners() -> None:
    corners = cxcywh_to_xyxy(boxes((10, 20, 4, 6)))
    assert corners.tolist() == [[8, 17, 12, 23]]
    assert corners.dtype == np.float32


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 5), (5, 0), (3, 4), (2100, 1000)])
def test_best_overlap_is_the_largest_of_all_pairs(a: int, b: int) -> None:
    rng = np.random.default_rng(a + b)
    one, other = (
        np.sort(rng.random((count, 2, 2), np.float32), axis=1).reshape(-1, 4)
        for count in (a, b)
    )
    expected = iou(one, other).max(axis=1, initial=0)
    assert np.array_equal(best_overlaps(one, other), expected)
