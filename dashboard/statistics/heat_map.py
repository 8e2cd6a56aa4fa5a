"""How often each place of a frame was inside a box."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

COLUMNS, ROWS = 24, 18  # of frames of 4:3: the cells are squares

NormalizedBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Cell:
    """A place of the frame.

    Attributes:
        column: 0 to ``COLUMNS`` - 1, from the left.
        row: 0 to ``ROWS`` - 1, from the top.
        count: Number of boxes that cover its centre, or have their own centre in it.
    """

    column: int
    row: int
    count: int


def heat_map(boxes: Iterable[NormalizedBox]) -> list[Cell]:
    """Return the places that boxes cover, those with the most boxes first.

    Args:
        boxes: xyxy as share of the frame, 0..1.
    """
    counts: dict[tuple[int, int], int] = {}
    for box in boxes:
        for place in _places(box):
            counts[place] = counts.get(place, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Cell(column, row, count) for (column, row), count in ordered]


def _places(box: NormalizedBox) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = (min(max(each, 0.0), 1.0) for each in box)
    center = (_index((x1 + x2) / 2, COLUMNS), _index((y1 + y2) / 2, ROWS))
    columns = range(math.ceil(x1 * COLUMNS - 0.5), math.floor(x2 * COLUMNS - 0.5) + 1)
    rows = range(math.ceil(y1 * ROWS - 0.5), math.floor(y2 * ROWS - 0.5) + 1)
    return {center} | {(column, row) for column in columns for row in rows}


def _index(share: float, count: int) -> int:
    return min(math.floor(share * count), count - 1)
