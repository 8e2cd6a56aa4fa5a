"""Tiles: every pixel is in one, and every object is reported once."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detections import Detections
from models.tile_merge import CUT_MARGIN_PX, decode_tiles, merge
from models.tiles import Tiles
from tests.examples import example_count

plans = st.builds(
    lambda tile, more_y, more_x, overlap: Tiles(
        tile + more_y, tile + more_x, tile, tile, overlap
    ),
    st.integers(64, 160),
    st.integers(0, 200),
    st.integers(0, 200),
    st.integers(16, 40),
)
PLAN = Tiles(600, 800, 320, 320, 64)


def seen_in(
    tiles: Tiles, box: tuple[float, ...], score: float = 0.9
) -> list[Detections]:
    """Return the detections of an exact detector for one object in every tile."""
    found = []
    for place, edges in enumerate(tiles.rectangles()):
        x1, y1 = np.maximum(box[:2], edges[:2]) - edges[:2]
        x2, y2 = np.minimum(box[2:], edges[2:]) - edges[:2]
        rows = [(x1, y1, x2, y2)] if x2 > x1 and y2 > y1 else []
        found.append(
            Detections(
                np.array(rows, np.float32).reshape(-1, 4),
                np.full(len(rows), score - 0.0001 * place, np.float32),
                np.zeros(len(rows), np.int64),
            )
        )
    return found


@given(plans)
def test_every_pixel_is_in_a_tile_and_neighbours_share_the_overlap(
    tiles: Tiles,
) -> None:
    seen = np.zeros(tiles.picture_size_px, bool)
    picture = np.zeros((*tiles.picture_size_px, 3), np.uint8)
    for x, y in tiles.corners():
        assert tiles.cut(picture, (x, y)).shape[:2] == (
            tiles.tile_height_px,
            tiles.tile_width_px,
        )
        seen[y : y + tiles.tile_height_px, x : x + tiles.tile_width_px] = True
    assert seen.all()
    columns = sorted({x for x, _ in tiles.corners()})
    for left, right in itertools.pairwise(columns):
        assert left + tiles.tile_width_px - right >= tiles.overlap_px
    assert len(tiles.corners()) == tiles.count


@settings(max_examples=example_count(80), deadline=None)
@given(plans, st.data())
def test_box_no_larger_than_the_overlap_is_complete_in_a_tile_and_reported_once(
    tiles: Tiles, data: st.DataObject
) -> None:
    largest = tiles.overlap_px - 2 * int(CUT_MARGIN_PX)
    width, height = (data.draw(st.integers(6, max(6, largest))) for _ in "xy")
    x = data.draw(st.integers(0, tiles.picture_width_px - width))
    y = data.draw(st.integers(0, tiles.picture_height_px - height))
    box = (x, y, x + width, y + height)
    whole = [
        (e[:2] <= box[:2]).all() and (e[2:] >= box[2:]).all()
        for e in tiles.rectangles()
    ]
    assert any(whole)
    merged = merge(seen_in(tiles, box), tiles, 0.65)
    np.testing.assert_allclose(merged.boxes, [box])


@pytest.mark.parametrize(
    "box",
    [
        (200, 100, 500, 160),  # across two tiles, and larger than their overlap
        (100, 150, 160, 500),
        (200, 180, 420, 420),  # over a corner of four tiles
        (10, 200, 790, 260),  # across all three
    ],
)
def test_object_larger_than_the_overlap_becomes_one_box(box: tuple[int, ...]) -> None:
    found = seen_in(PLAN, box)
    assert sum(map(len, found)) >= 2
    np.testing.assert_allclose(merge(found, PLAN, 0.65).boxes, [box])


def test_two_objects_side_by_side_are_two_boxes() -> None:
    both = [
        Detections(
            *(np.concatenate(rows) for rows in zip(*map(_rows, pair), strict=True))
        )
        for pair in zip(
            seen_in(PLAN, (250, 100, 270, 120)),
            seen_in(PLAN, (285, 100, 305, 120)),
            strict=True,
        )
    ]
    assert len(merge(both, PLAN, 0.65)) == 2


def _rows(found: Detections) -> tuple[np.ndarray, ...]:
    return found.boxes, found.scores, found.labels


def test_cut_box_without_a_partner_is_kept() -> None:
    found = seen_in(PLAN, (230, 100, 400, 160))
    alone = [found[0], *(each.select(np.zeros(len(each), bool)) for each in found[1:])]
    assert len(merge(alone, PLAN, 0.65)) == 1


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.9))
@settings(max_examples=example_count(60), deadline=None)
def test_threshold_before_or_after_the_merge_gives_the_same(
    seed: int, threshold: float
) -> None:
    rng = np.random.default_rng(seed)
    tiles = Tiles(160, 160, 96, 96, 32)
    size = rng.uniform(8, 60, (2, 4 * 40))
    output = np.concatenate(
        (rng.uniform(0, 96, (2, 4 * 40)), size, rng.uniform(0, 1, (2, 4 * 40)))
    ).astype(np.float32)
    early = decode_tiles(output, np.full(2, threshold, np.float32), tiles)
    late = decode_tiles(output, np.full(2, 0.01, np.float32), tiles)
    late = late.above(np.full(2, threshold, np.float32))
    np.testing.assert_array_equal(early.boxes, late.boxes)
    np.testing.assert_array_equal(early.scores, late.scores)


def test_tiles_larger_than_the_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="must fit"):
        Tiles(100, 100, 128, 64, 16)
