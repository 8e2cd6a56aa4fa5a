"""Defects of geometry change the mask where they should."""

import cv2
import numpy as np
import pytest

from pretraining.edits import bridge, hole, index_mask, narrowest_chord, open_gap

SIZE_PX = 128


def rng_of(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def two_traces() -> np.ndarray:
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    mask[40:52], mask[60:72] = 255, 255
    return mask


def connected(solid: np.ndarray, a: tuple[int, int], b: tuple[int, int]) -> bool:
    _, parts = cv2.connectedComponents(solid.astype(np.uint8), connectivity=4)
    return bool(parts[a] == parts[b])


def test_open_separates_a_trace() -> None:
    mask = two_traces()
    for seed in range(20):
        edit = open_gap(rng_of(seed), index_mask(mask), 14.0)
        assert edit is not None
        cutout = mask.copy()
        cutout[edit.window.slices] = edit.mask
        whole = [connected(cutout > 127, (y, 0), (y, SIZE_PX - 1)) for y in (45, 65)]
        if not all(whole):
            return
    pytest.fail("no open ever cut a trace")


def test_short_joins_two_traces() -> None:
    mask = two_traces()
    assert not connected(mask > 127, (45, 5), (65, 5))
    for seed in range(20):
        edit = bridge(rng_of(seed), index_mask(mask), 10.0)
        if edit is None:  # no try hit the gap
            continue
        joined = mask.copy()
        joined[edit.window.slices] = edit.mask
        if connected(joined > 127, (45, 5), (65, 5)):
            return
    pytest.fail("no short ever joined the traces")


def test_hole_lies_within_the_structure() -> None:
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    mask[20:100, 20:100] = 255
    edit = hole(rng_of(1), index_mask(mask), 12.0)
    assert edit is not None
    holed = mask.copy()
    holed[edit.window.slices] = edit.mask
    assert (holed <= mask).all()
    assert (holed < mask).any()
    assert (holed[20:100, [20, 99]] == 255).all()


def test_narrowest_chord_crosses_a_trace() -> None:
    found = narrowest_chord(two_traces() > 127, 64, 46, 20)
    assert found is not None
    chord, length = found
    assert length == 13
    across, down = np.abs(chord[1] - chord[0])
    assert down > 3 * across


def test_no_chord_is_found_where_the_region_is_too_wide() -> None:
    assert narrowest_chord(np.ones((64, 64), np.bool_), 32, 32, 10) is None
