"""Defects are large where half of the boxes exceed an eighth of their photo."""

from pathlib import Path

import numpy as np
import pytest

from trainer.data.dataset import Photo
from trainer.data.sampling.defect_size import are_large


def photo(*sides_px: tuple[float, float], other_side_px: int = 100) -> Photo:
    boxes = np.array([[10, 10, 10 + w, 10 + h] for w, h in sides_px], np.float32)
    labels = np.zeros(len(sides_px), np.int64)
    return Photo(Path("a"), "a", 200, other_side_px, boxes.reshape(-1, 4), labels)


@pytest.mark.parametrize(
    ("photos", "large"),
    [
        ([photo((26, 4))], True),
        ([photo((4, 26))], True),
        ([photo((24, 24))], False),
        ([photo((26, 4)), photo((5, 5), (6, 6))], False),
        ([photo((26, 4), (40, 4)), photo((5, 5))], True),
        ([photo((26, 4), other_side_px=400)], False),
        ([photo()], False),
        ([], False),
    ],
    ids=[
        "wide",
        "high",
        "shorter",
        "most-small",
        "most-large",
        "larger-photo",
        "good",
        "no",
    ],
)
def test_half_of_the_boxes_decide(photos: list[Photo], large: bool) -> None:
    assert are_large(photos) is large
