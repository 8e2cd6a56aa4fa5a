"""Textures have mean 0 and deviation 1, and grain does not repeat."""

import numpy as np
import pytest

from pretraining.textures import Texture, cut_texture, grain


def rng_of(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.mark.parametrize("texture", list(Texture))
def test_textures_are_standardized(texture: Texture) -> None:
    tiles = [cut_texture(rng_of(seed), texture, 256) for seed in range(8)]
    assert abs(float(np.mean(tiles))) < 0.6
    assert 0.4 < float(np.std(tiles)) < 1.8


def test_grain_of_a_large_picture_does_not_repeat() -> None:
    speckle = grain(rng_of(1), 640)
    assert speckle.shape == (640, 640)
    assert (speckle[:, :320] != speckle[:, 320:]).mean() > 0.99
