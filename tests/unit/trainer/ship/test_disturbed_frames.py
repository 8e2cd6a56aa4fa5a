"""Good photos with a square that does not belong there."""

import numpy as np
import pytest

from trainer.ship.disturbed_frames import disturbed


@pytest.mark.parametrize("size_px", [(64, 96), (5, 3), (1, 1)])
def test_one_square_of_the_picture_differs(size_px: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (*size_px, 3)).astype(np.uint8)
    changed = disturbed(picture, generator)
    rows, columns = np.nonzero((changed != picture).any(axis=2))
    side = max(1, round(min(size_px) / 6))
    assert changed.shape == picture.shape
    assert np.ptp(rows) < side
    assert np.ptp(columns) < side
