"""Whether boxes keep a direction of the picture."""

from pathlib import Path

import numpy as np
import pytest

from trainer.data.dataset import Photo
from trainer.data.sampling.direction import keeps_direction


def photos(*sizes_px: tuple[float, float], label: int = 0) -> list[Photo]:
    """Return a photo for each width and height of a box."""
    return [
        Photo(
            Path(f"{i}.jpg"),
            f"{i:064}",
            400,
            400,
            np.array([(10, 10, 10 + width, 10 + height)], np.float32),
            np.array([label]),
        )
        for i, (width, height) in enumerate(sizes_px)
    ]


def elongated(count: int, stretch: float, spread: float) -> list[tuple[float, float]]:
    """Return sizes whose ``log(width / height)`` is ``stretch``, give or take."""
    rng = np.random.default_rng(0)
    return [
        (40 * float(np.exp(log / 2)), 40 * float(np.exp(-log / 2)))
        for log in rng.normal(stretch, spread, count)
    ]


@pytest.mark.parametrize("stretch", [-1.0, 1.0], ids=["high", "wide"])
def test_scratches_along_one_axis_keep_their_direction(stretch: float) -> None:
    assert keeps_direction(photos(*elongated(30, stretch, 0.5)))


def test_scratches_along_both_axes_keep_none() -> None:
    both = elongated(15, 1.0, 0.2) + elongated(15, -1.0, 0.2)
    assert not keeps_direction(photos(*both))


def test_squares_keep_none() -> None:
    assert not keeps_direction(photos(*elongated(30, 0.1, 0.05)))


def test_boxes_a_little_wider_than_high_keep_none() -> None:
    assert not keeps_direction(photos(*elongated(200, 0.15, 0.3)))


def test_same_box_in_every_photo_keeps_its_direction() -> None:
    assert keeps_direction(photos(*[(60, 45)] * 20))


def test_few_boxes_say_nothing() -> None:
    assert not keeps_direction(photos(*[(90, 30)] * 5))


def test_one_class_of_many_boxes_decides() -> None:
    scratches = photos(*elongated(20, 1.2, 0.3), label=1)
    assert keeps_direction(photos(*elongated(40, 0, 0.5)) + scratches)
    assert not keeps_direction(photos(*elongated(80, 0, 0.5)) + scratches)


def test_photos_without_boxes_may_be_turned() -> None:
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    assert not keeps_direction([Photo(Path("a.jpg"), "0" * 64, 400, 400, *none)])
    assert not keeps_direction([])
