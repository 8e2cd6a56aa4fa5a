"""Where the most unlike cell of a photo lies."""

from pathlib import Path

import numpy as np
import pytest

from models.tiles import Tiles
from trainer.data.dataset import Photo
from trainer.unknown.inputs import PhotoInputs

PHOTO = Photo(
    Path("a.png"),
    "0" * 64,
    128,
    96,
    np.zeros((0, 4), np.float32),
    np.zeros(0, np.int64),
)


def test_box_is_around_the_cells_that_are_nearly_as_unlike() -> None:
    inputs = PhotoInputs((64, 64))  # half of 128 px wide, so that it is padded below
    distances = np.full((4, 4), 1.0, np.float32)
    distances[1, 2], distances[1, 3] = 3.0, 2.5
    distances[2, 2] = 1.9  # less than half of the way up
    box = inputs.place(PHOTO, distances.ravel(), 1.0)
    assert box.tolist() == [64, 32, 128, 64]


def test_photo_that_is_more_usual_than_most_has_the_box_of_one_cell() -> None:
    distances = np.full((4, 4), 0.1, np.float32)
    distances[0, 1] = 0.2
    box = PhotoInputs((64, 64)).place(PHOTO, distances.ravel(), 1.0)
    assert box.tolist() == [32, 0, 64, 32]


def test_place_in_a_tile_is_moved_by_its_corner() -> None:
    inputs = PhotoInputs((64, 64), Tiles(96, 128, 64, 64, 0))
    corners = inputs.corners(PHOTO)
    assert corners == [(0, 0), (64, 0), (0, 32), (64, 32)]
    distances = np.ones((4, 4, 4), np.float32)
    distances[3, 0, 0] = 3.0
    box = inputs.place(PHOTO, distances.ravel(), 1.0)
    assert box.tolist() == pytest.approx([64, 32, 80, 48])
