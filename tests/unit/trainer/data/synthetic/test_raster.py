"""Drawing primitives stay inside their windows and keep their values in range."""

import numpy as np
import pytest

from trainer.data.synthetic.noise import fractal, standardize
from trainer.data.synthetic.raster import (
    PixelWindow,
    blob_outline,
    blur,
    bounding_box,
    draw_disc,
    draw_line,
    max_channel,
    random_path,
    to_channels,
    unit,
    window_around,
)


def test_window_is_clipped_at_the_border() -> None:
    assert window_around(1, 8, 3, (10, 10)) == PixelWindow(0, 5, 5, 10)
    grown = PixelWindow(1, 2, 5, 6).grown(3, (7, 9))
    assert grown == PixelWindow(0, 0, 8, 7)
    assert (grown.width_px, grown.height_px) == (8, 7)
    assert grown.local(2, 3) == (2, 3)


def test_bounding_box_is_tight_and_none_without_pixels() -> None:
    mask = np.zeros((6, 8), np.bool_)
    assert bounding_box(mask) is None
    mask[2, 3] = mask[4, 5] = True
    assert bounding_box(mask) == (3, 2, 6, 5)


def test_disc_and_line_are_drawn_where_asked() -> None:
    mask = np.zeros((21, 21), np.uint8)
    draw_disc(mask, 10, 10, 4)
    assert bounding_box(mask > 127) == (6, 6, 15, 15)
    draw_line(mask, np.array([[0, 1], [20, 1]], np.float32), 1)
    assert (mask[1] > 127).all()


def test_planes_and_channels() -> None:
    mask = np.array([[0, 255]], np.uint8)
    plane = unit(mask)
    assert plane.tolist() == [[0.0, pytest.approx(1)]]
    picture = to_channels(plane)
    assert picture.shape == (1, 2, 3)
    picture[0, 0, 1] = 7
    assert max_channel(picture)[0, 0] == 7
    assert blur(plane, 0.1) is plane


def test_outline_surrounds_its_centre_and_path_has_its_length() -> None:
    rng = np.random.default_rng(0)
    outline = blob_outline(rng, 50, 40, 10, ragged=0.0)
    assert np.allclose(np.hypot(*(outline - (50, 40)).T), 10, atol=1e-3)
    path = random_path(rng, 5, 6, 30, steps=6, bend=0.2, heading=0.0)
    assert path.shape == (7, 2)
    assert path[0].tolist() == [5, 6]
    assert np.hypot(*np.diff(path, axis=0).T).sum() == pytest.approx(30, rel=1e-4)


def test_noise_is_standardized_and_repeatable() -> None:
    planes = [
        fractal(np.random.default_rng(1), 64, octaves=4, first=3, decay=0.5)
        for _ in range(2)
    ]
    assert np.array_equal(*planes)
    assert abs(float(planes[0].mean())) < 1e-3
    assert float(planes[0].std()) == pytest.approx(1, abs=1e-3)
    assert not standardize(np.full((4, 4), 9, np.float32)).any()
