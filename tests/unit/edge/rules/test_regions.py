"""Where a defect counts, and from which score and size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.rules.regions import (
    Region,
    RegionKind,
    RegionMap,
    polygon_fault,
    unknown_labels,
)
from models.detections import Detections, no_detections
from models.postprocess import CROSS_CLASS_IOU, DecisionRule
from tests.examples import example_count

LABELS = ("scratch", "dent")
PACKAGE = np.array([0.5, 0.6], np.float32)
RULE = DecisionRule(PACKAGE, CROSS_CLASS_IOU)
WIDTH_PX, HEIGHT_PX = 200, 100
SQUARE = [(0, 0), (0.5, 0), (0.5, 1), (0, 1)]  # the left half
RIGHT = [(0.5, 0), (1, 0), (1, 1), (0.5, 1)]
EVERYTHING = [(0, 0), (1, 0), (1, 1), (0, 1)]
BOW_TIE = [(0, 0), (1, 1), (1, 0), (0, 1)]


def inspect(name: str, polygon: list[tuple[float, float]], **rules: object) -> Region:
    return Region.from_polygon(name, RegionKind.INSPECT, polygon, **rules)  # type: ignore[arg-type]


def mask(polygon: list[tuple[float, float]]) -> Region:
    return Region.from_polygon("mask", RegionKind.MASK, polygon)


def seen(*defects: tuple[float, float, int, float], side_px: float = 10) -> Detections:
    """Return detections of centre x, centre y, label and score."""
    boxes = [[x - side_px / 2, y - 2, x + side_px / 2, y + 2] for x, y, _, _ in defects]
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([score for *_, score in defects], np.float32),
        np.array([label for *_, label, _ in defects], np.int64),
    )


def kept(regions: list[Region], found: Detections) -> list[tuple[float, str]]:
    """Return centre x and region of what is kept."""
    drawn = RegionMap(regions, LABELS, RULE)
    left = drawn.filter(found, WIDTH_PX, HEIGHT_PX)
    names = drawn.region_names(left, WIDTH_PX, HEIGHT_PX)
    centres = (left.boxes[:, 0] + left.boxes[:, 2]) / 2
    return list(zip(centres.tolist(), names, strict=True))


def test_without_regions_the_whole_picture_counts_by_the_package() -> None:
    found = seen((20, 50, 0, 0.9), (180, 50, 1, 0.6), (100, 50, 1, 0.55))
    assert kept([], found) == [(20, ""), (180, "")]
    assert RegionMap([], LABELS, RULE).lowest_thresholds.tolist() == PACKAGE.tolist()


def test_outside_every_inspect_region_nothing_counts() -> None:
    found = seen((20, 50, 0, 0.9), (180, 50, 0, 0.9))
    assert kept([inspect("left", SQUARE)], found) == [(20, "left")]


def test_inside_a_mask_nothing_counts_and_elsewhere_everything() -> None:
    found = seen((20, 50, 0, 0.9), (180, 50, 0, 0.9))
    assert kept([mask(SQUARE)], found) == [(180, "")]


@pytest.mark.parametrize("is_first", [True, False])
def test_mask_wins_in_any_order_of_the_regions(is_first: bool) -> None:
    regions = [inspect("all", EVERYTHING), mask(SQUARE)]
    found = seen((20, 50, 0, 0.9), (180, 50, 0, 0.9))
    assert kept(regions[:: -1 if is_first else 1], found) == [(180, "all")]


def test_of_two_regions_the_first_in_the_file_has_the_defect() -> None:
    left = inspect("left", SQUARE, thresholds={"scratch": 0.9})
    whole = inspect("all", EVERYTHING, thresholds={"scratch": 0.1})
    found = seen((20, 50, 0, 0.8), (180, 50, 0, 0.8))
    assert kept([left, whole], found) == [(180, "all")]
    assert kept([whole, left], found) == [(20, "all"), (180, "all")]


def test_centre_decides_where_a_box_crosses_the_edge() -> None:
    found = seen((98, 50, 0, 0.9), (103, 50, 0, 0.9), side_px=40)
    assert kept([inspect("left", SQUARE)], found) == [(98, "left")]


def test_region_raises_and_lowers_the_threshold_of_one_label_only() -> None:
    region = inspect("left", SQUARE, thresholds={"scratch": 0.8, "dent": 0.2})
    other = inspect("right", RIGHT)
    found = seen(
        *[(20, 50, 0, 0.9), (25, 50, 0, 0.7), (30, 50, 1, 0.3), (35, 50, 1, 0.1)],
        *[(150, 50, 0, 0.7), (155, 50, 1, 0.3)],
    )
    expected = [(20, "left"), (30, "left"), (150, "right")]
    assert kept([region, other], found) == expected


def test_output_is_decoded_with_the_lowest_threshold_in_force() -> None:
    left = inspect("left", SQUARE, thresholds={"scratch": 0.8, "dent": 0.2})
    assert RegionMap([left], LABELS, RULE).lowest_thresholds.tolist() == pytest.approx(
        [0.8, 0.2]
    )
    drawn = RegionMap([left, inspect("right", RIGHT)], LABELS, RULE)
    assert drawn.lowest_thresholds.tolist() == pytest.approx([0.5, 0.2])


def test_boxes_of_two_labels_at_one_place_are_one_defect() -> None:
    found = seen((50, 50, 1, 0.9), (51, 50, 0, 0.8), (54, 50, 0, 0.7))
    # 51 overlaps the dent by 0.82, 54 by 0.43: a second defect that touches it
    assert kept([], found) == [(50, ""), (54, "")]


def test_packages_without_the_rule_report_both_boxes() -> None:
    found = seen((50, 50, 1, 0.9), (50, 50, 0, 0.8))
    earlier = RegionMap([], LABELS, DecisionRule(PACKAGE))
    assert len(earlier.filter(found, WIDTH_PX, HEIGHT_PX)) == 2


def test_box_that_does_not_count_in_its_region_removes_no_other() -> None:
    strict = inspect("left", SQUARE, thresholds={"dent": 0.95})
    found = seen((50, 50, 1, 0.9), (50, 50, 0, 0.8))
    assert kept([strict, inspect("right", RIGHT)], found) == [(50, "left")]
    beside = seen((99.5, 50, 1, 0.9), (100.5, 50, 0, 0.8))
    assert kept([mask(SQUARE), inspect("right", RIGHT)], beside) == [(100.5, "right")]


@pytest.mark.parametrize(("side_px", "counts"), [(29, False), (30, True)])
def test_longer_side_decides_about_the_size(side_px: float, counts: bool) -> None:
    found = seen((50, 50, 0, 0.9), side_px=side_px)  # 4 px high: a scratch
    assert bool(kept([inspect("left", SQUARE, min_size_px=30)], found)) is counts


def test_region_stays_on_the_part_when_the_resolution_changes() -> None:
    drawn = RegionMap([inspect("left", SQUARE)], LABELS, RULE)
    found = seen((90, 50, 0, 0.9))
    assert len(drawn.filter(found, 200, 100)) == 1
    assert len(drawn.filter(found, 100, 100)) == 0


def test_frame_without_detections_stays_without_any() -> None:
    assert kept([inspect("left", SQUARE), mask(RIGHT)], no_detections()) == []


def test_concave_polygon_has_its_notch_outside() -> None:
    notch = [(0.0, 0.0), (1, 0), (1, 1), (0.5, 0.3), (0, 1)]
    inside = inspect("v", notch).contains(
        np.array([[0.1, 0.5], [0.5, 0.8], [0.5, 0.2]])
    )
    assert inside.tolist() == [True, False, True]


@settings(max_examples=example_count(60), deadline=None)
@given(st.lists(st.floats(0, 6.28), min_size=3, max_size=9, unique=True), st.data())
def test_point_is_inside_exactly_where_opencv_puts_it(
    angles: list[float], data: st.DataObject
) -> None:
    cv2 = pytest.importorskip("cv2")
    polygon = [
        (0.5 + 0.4 * float(np.cos(a)), 0.5 + 0.4 * float(np.sin(a)))
        for a in sorted(angles)
    ]
    points = data.draw(
        st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=9)
    )
    corners = np.array(polygon, np.float32)
    inside = inspect("x", polygon).contains(np.array(points, float).reshape(-1, 2))
    for point, is_inside in zip(points, inside.tolist(), strict=True):
        distance = cv2.pointPolygonTest(corners, point, measureDist=True)
        if abs(distance) > 1e-4:  # float32 corners: on the edge both results are right
            assert is_inside is (distance > 0)


def test_points_of_a_common_edge_belong_to_one_of_two_neighbours() -> None:
    points = np.array([[0.5, y] for y in (0.0, 0.25, 0.5, 0.99)])
    sides = [
        inspect("l", SQUARE).contains(points),
        inspect("r", RIGHT).contains(points),
    ]
    assert np.sum(sides, axis=0).tolist() == [1, 1, 1, 1]


def test_threshold_for_a_label_that_the_model_lacks_is_named() -> None:
    rim = inspect("rim", SQUARE, thresholds={"scrach": 0.5, "dent": 0.4})
    (phrase,) = unknown_labels([rim], LABELS)
    assert phrase == "region rim has a threshold for 'scrach'"


@pytest.mark.parametrize(
    ("polygon", "expected"),
    [
        (SQUARE, ""),
        ([(0, 0), (1, 0), (0.2, 0.2), (0, 1)], ""),  # concave
        ([(0, 0), (1, 0)], "3 to 64 corners, got 2"),
        ([(i / 100, (i / 100) ** 2) for i in range(65)], "got 65"),
        (BOW_TIE, "cross or touch"),
        ([(0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)], "cross or touch"),
        ([(0, 0), (1, 0), (1, 1), (0, 0), (0, 1)], "cross or touch"),
        ([(0, 0), (0.5, 0.5), (1, 1)], "on one line"),
        ([(0, 0), (1, 0), (1, 0.1), (1, 0)], "cross or touch"),
        ([(0, 0), (float("nan"), 0), (1, 1)], "not a number"),
        ([(0, 0), (float("inf"), 0), (1, 1)], "not a number"),
        ([(0, 0), (640, 0), (640, 480)], "outside the frame; corners are shares"),
        ([(-0.1, 0), (1, 0), (1, 1)], "outside the frame"),
    ],
)
def test_polygon_without_an_inside_is_refused(
    polygon: list[tuple[float, float]], expected: str
) -> None:
    fault = polygon_fault(polygon)
    assert expected in fault
    assert bool(fault) is bool(expected)
