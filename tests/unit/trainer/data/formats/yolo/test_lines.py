"""YOLO: what the numbers of a line mean, and what is refused."""

from collections.abc import Sequence

import pytest

from trainer.data.formats.yolo.lines import (
    LabelLine,
    box_of,
    counts_from_1,
    evidence,
    parsed,
)

BOX_ROW = "0 0.25 0.5 0.25 0.5"


def boxes_of(*rows: str) -> list[object]:
    """Return the box of each row of one folder, or why it is none."""
    lines = [parsed(number, row) for number, row in enumerate(rows, 1)]
    known = [line for line in lines if isinstance(line, LabelLine)]
    assert len(known) == len(lines)
    return [box_of(line, evidence(known)) for line in known]


def lines_of(*labels: int) -> Sequence[LabelLine]:
    return [LabelLine(1, label, (0.5, 0.5, 0.1, 0.1)) for label in labels]


@pytest.mark.parametrize(
    "row", [BOX_ROW, "0.0 .25 5e-1 +0.25 0.500", "\t0\t0.25 0.5 0.25 0.5 "]
)
def test_numbers_are_read_in_every_common_spelling(row: str) -> None:
    assert boxes_of(row) == [(0.125, 0.25, 0.375, 0.75)]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("class x y w h", "is a header or a comment"),
        ("# made by hand", "is a header or a comment"),
        ("dot 0.5 0.5 0.1 0.1", "class 'dot' is a name; expected its number"),
        ("0,0.5,0.5,0.1,0.1", "commas between the numbers"),
        ("0, 0.5, 0.5, 0.1, 0.1", "commas between the numbers"),
        ("0;0.5;0.5;0.1;0.1", "commas between the numbers"),
        ("0 0,5 0,5 0,1 0,1", "decimal commas"),
        ("0 0.5 0.5 nan 0.1", "is not 'class cx cy w h'"),
        ("0 0.5 0.5 1e999 0.1", "too large"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is no whole number"),
        ("0 0.5 0.5 0.1 1_0", "is not 'class cx cy w h'"),
        ("٣ 0.5 0.5 0.1 0.1", "is a name"),
    ],
)
def test_lines_that_are_no_numbers_are_named(row: str, why: str) -> None:
    found = parsed(1, row)
    assert isinstance(found, str)
    assert why in found


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("0", "0 numbers after the class, expected 4"),
        ("0 0.5 0.5 0.1", "3 numbers after the class, expected 4"),
        ("0 0.5 0.5 0.1 0.1 0.93", "5 numbers after the class, expected 4"),
        ("0 0.5 0.5 0.1 0.1 0.93", "a box and the score of a detector"),
        ("0 0.5 0.5 0.1 0.1 0.93 17", "the score and the track of a detector"),
        ("0 0.5 0.5 0.1 0.1 0.93 1", "the score and the track of a detector"),
        ("0 0.5 0.5 0.1 0.1 0.93 0", "the score and the track of a detector"),
        ("0 .1 .1 .2 .1 .2 .2 .1 .2 0.9 7", "the score and the track of a detector"),
        ("0 .1 .1 .2 .1 .2 .2 0.9", "an outline and the score of a detector"),
        ("0 320 240 50 60", "320 is no share of the photo (0 to 1)"),
        ("0 320 240 50 60", "may be pixels or per cent"),
        ("0 10 10 20 10 20 20", "may be pixels or per cent"),
        ("0 0.5 0.5 1.5 0.1", "1.5 is far outside of the photo"),
        ("0 -0.5 0.5 0.1 0.1", "-0.5 is far outside of the photo"),
        ("0 .1 .1 .2 .1 .2 1.5", "1.5 is far outside of the photo"),
        ("0 .1 .1 .2 .1 .2 .2 -0.4 .2", "-0.4 is far outside of the photo"),
    ],
)
def test_rows_that_are_no_boxes_are_refused_with_what_they_may_be(
    row: str, why: str
) -> None:
    [found] = boxes_of(row)
    assert isinstance(found, str)
    assert why in found


def test_outlines_end_in_tracks_only_where_all_of_them_do() -> None:
    at_the_edge = "0 0.5 0.5 0.6 0.5 0.55 1"
    other = "0 0.5 0.5 0.6 0.5 0.55 0.9"
    assert boxes_of(at_the_edge, other)[0] == (0.5, 0.5, 0.6, 1)
    assert "track" in str(boxes_of(at_the_edge, at_the_edge)[0])
    # A single outline of more corners may touch the edge.
    assert boxes_of("0 0.5 0.5 0.6 0.5 0.6 1 0.5 1") == [(0.5, 0.5, 0.6, 1)]


def test_a_little_over_the_edge_is_rounding() -> None:
    assert boxes_of("0 .9 .9 1.02 .9 1.02 1.0") == [(0.9, 0.9, 1.02, 1.0)]
    assert isinstance(boxes_of("0 0.5 0.5 1.0001 1.0")[0], tuple)


CORNERS = [
    f"0 {x1} {y1} {x1 + 0.1} {y1 + 0.2}"
    for x1, y1 in ((0.1, 0.2), (0.3, 0.3), (0.7, 0.1), (0.85, 0.7), (0.5, 0.5))
]


def test_corners_in_the_place_of_centre_and_sides_are_refused() -> None:
    assert all("may be corners" in str(found) for found in boxes_of(*CORNERS))
    # One box in the other order shows that they are centres and sides.
    centres = boxes_of(*CORNERS, "0 0.5 0.5 0.1 0.1")
    assert all(isinstance(found, tuple) for found in centres)


def test_large_boxes_inside_their_photos_are_not_taken_for_corners() -> None:
    large = [f"0 0.{cx} 0.4 0.7 0.75" for cx in (36, 40, 45, 50, 55)]
    assert all(isinstance(found, tuple) for found in boxes_of(*large))
    over_the_edge = "0 0.3 0.4 0.7 0.75"
    assert all(isinstance(found, tuple) for found in boxes_of(*large, over_the_edge))


@pytest.mark.parametrize(
    ("labels", "count", "expected"),
    [
        ((1, 2, 3), 3, True),
        ((1,), 1, True),
        ((0, 1, 3), 3, False),
        ((1, 2), 3, False),
        ((2, 3), 3, False),
        ((), 3, False),
    ],
)
def test_class_numbers_that_start_at_1_are_recognized(
    labels: tuple[int, ...], count: int, expected: bool
) -> None:
    assert counts_from_1(lines_of(*labels), count) is expected
