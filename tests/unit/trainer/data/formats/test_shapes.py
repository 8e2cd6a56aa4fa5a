"""Numbers and shapes of label files become upright boxes."""

import math
from pathlib import Path

import pytest

from trainer.data.findings import Level
from trainer.data.formats.shapes import (
    Outlines,
    all_numbers,
    bounding_box,
    centred_box,
    ellipse_box,
    number,
    stated_size,
    turned,
)


@pytest.mark.parametrize(("value", "read"), [(3, 3.0), (0.5, 0.5), (" 7 ", 7.0)])
def test_numbers_and_texts_of_numbers_are_read(value: object, read: float) -> None:
    assert number(value) == read


@pytest.mark.parametrize(
    "value", [None, True, "", "seven", "nan", math.inf, 10**400, [1], {}, "1_000_x"]
)
def test_other_values_are_no_numbers(value: object) -> None:
    assert number(value) is None
    assert all_numbers([1, value]) is None


def test_all_numbers_keep_their_order() -> None:
    assert all_numbers(["2", 1, 0.5]) == [2.0, 1.0, 0.5]
    assert all_numbers([]) == []


@pytest.mark.parametrize(
    ("size", "read"),
    [
        ((640, 480), (640, 480)),
        (("640", "480.0"), (640, 480)),
        ((640.0, 480), (640, 480)),
        ((0, 480), (0, 480)),
        ((-1, 480), (0, 480)),
        ((640, None), (640, 0)),
        ((0, 0), None),
        (("", ""), None),
    ],
)
def test_stated_size_is_zero_where_a_side_is_left_out(
    size: tuple[object, object], read: tuple[int, int] | None
) -> None:
    assert stated_size(*size) == read


def test_bounding_box_holds_all_points() -> None:
    assert bounding_box([(3, 9), (1, 4), (2, 7)]) == (1, 4, 3, 9)
    assert bounding_box([(3, 9)]) == (3, 9, 3, 9)


def test_centre_and_sides_give_the_corners() -> None:
    assert centred_box(10, 20, 4, 6) == (8, 17, 12, 23)


def test_box_turned_by_a_quarter_swaps_its_sides() -> None:
    assert turned((0, 0, 4, 2), 90) == pytest.approx((1, -1, 3, 3))
    assert turned((0, 0, 4, 2), 90, about=(0, 0)) == pytest.approx((-2, 0, 0, 4))
    assert turned((0, 0, 4, 2), 0) == (0, 0, 4, 2)


def test_ellipse_turned_by_a_quarter_swaps_its_radii() -> None:
    assert ellipse_box((10, 10), (4, 2), 0) == pytest.approx((6, 8, 14, 12))
    assert ellipse_box((10, 10), (4, 2), 90) == pytest.approx((8, 6, 12, 14))


def test_outlines_of_one_kind_are_one_finding() -> None:
    outlines = Outlines(Path("a.xml"))
    for place in ("line 1", "line 2"):
        outlines.add("polygon", place)
    outlines.add("mask", "line 3")
    polygon, mask = outlines.findings()
    assert (polygon.level, polygon.place) == (Level.WARNING, "line 1; line 2")
    assert polygon.why.startswith("polygon, 2 times")
    assert mask.place == "line 3"
