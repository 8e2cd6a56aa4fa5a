"""Every mark, nuisance and circuit changes the picture, the same way for one seed."""

import numpy as np
import pytest

from pretraining import nuisance
from pretraining.defects import MARKS, DefectKind
from pretraining.marks import MarkSpot
from pretraining.traces import circuit

SIZE_PX = 64


def rng_of(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.mark.parametrize("kind", list(MARKS))
def test_mark_changes_its_patch_near_the_spot(kind: DefectKind) -> None:
    patches = []
    for _ in range(2):
        patch = rng_of(1).uniform(60, 160, (SIZE_PX, SIZE_PX, 3)).astype(np.float32)
        before = patch.copy()
        MARKS[kind](rng_of(2), MarkSpot(patch, 32, 32, 20, 60))
        change = np.abs(patch - before).max(axis=2)
        assert change.max() > 10
        assert change[16:48, 16:48].sum() > 0.5 * change.sum()
        patches.append(patch)
    assert np.array_equal(*patches)


def test_tool_marks_and_border_change_the_picture() -> None:
    for draw in (nuisance.tool_marks, nuisance.border):
        pictures = np.full((10, SIZE_PX, SIZE_PX, 3), 100, np.float32)
        for seed, picture in enumerate(pictures):
            draw(rng_of(seed), picture)
        assert np.count_nonzero((pictures != 100).any(axis=(1, 2, 3))) >= 7


def test_light_has_positive_gain() -> None:
    for seed in range(20):
        light = nuisance.draw_light(rng_of(seed), SIZE_PX)
        assert light.gain.shape == light.glow.shape == (SIZE_PX, SIZE_PX, 3)
        assert (light.gain > 0).all()


def test_circuit_is_a_mask_with_both_levels() -> None:
    for seed in range(10):
        mask = circuit(rng_of(seed), 128)
        assert (mask.shape, mask.dtype) == ((128, 128), np.uint8)
        assert mask.min() == 0
        assert mask.max() == 255
