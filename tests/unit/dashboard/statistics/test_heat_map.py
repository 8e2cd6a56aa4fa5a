"""How often each place was inside a box."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard.statistics.heat_map import COLUMNS, ROWS, Cell, heat_map

shares = st.floats(0, 1)
boxes = st.tuples(shares, shares, shares, shares).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


def test_box_covers_the_places_whose_center_it_holds() -> None:
    found = heat_map([(0, 0, 2 / COLUMNS, 1 / ROWS)])
    assert found == [Cell(0, 0, 1), Cell(1, 0, 1)]


def test_small_box_counts_where_its_center_is() -> None:
    assert heat_map([(0.5001, 0.5001, 0.501, 0.501)]) == [
        Cell(COLUMNS // 2, ROWS // 2, 1)
    ]


def test_place_with_the_most_boxes_is_first() -> None:
    small, large = (0.01, 0.01, 0.02, 0.02), (0, 0, 0.2, 0.2)
    found = heat_map([small, large])
    assert found[0] == Cell(0, 0, 2)
    assert {each.count for each in found[1:]} == {1}


def test_without_boxes_there_are_no_places() -> None:
    assert heat_map([]) == []


@given(st.lists(boxes, max_size=20))
def test_every_box_counts_somewhere_in_the_frame_and_once_a_place(
    found: list[tuple[float, float, float, float]],
) -> None:
    cells = heat_map(found)
    assert bool(cells) == bool(found)
    assert all(0 <= each.column < COLUMNS and 0 <= each.row < ROWS for each in cells)
    assert all(1 <= each.count <= len(found) for each in cells)
    assert sum(each.count for each in cells) >= len(found)


def test_box_of_the_whole_frame_covers_every_place() -> None:
    assert len(heat_map([(0, 0, 1, 1)])) == COLUMNS * ROWS
