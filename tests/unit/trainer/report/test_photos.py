"""Photos in a page: their size, and where the text of a box lies."""

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.data.dataset import Photo
from trainer.report.photos import box_shape, data_uri, text_shape

PHOTO = Photo(
    *(Path("x.png"), "0" * 64, 1000, 400),
    np.zeros((0, 4), np.float32),
    np.zeros(0, np.int64),
)
LETTERS_PX = 36  # of a photo of 1000 px


@pytest.mark.parametrize(
    ("shape", "expected"), [((400, 1000), (256, 640)), ((30, 20), (30, 20))]
)
def test_large_pictures_are_scaled_down_and_small_ones_kept(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    uri = data_uri(np.zeros((*shape, 3), np.uint8), 640)
    jpeg = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[:2] == expected


def baseline(top: float, bottom: float, kind: str) -> float:
    box = np.array([10, top, 90, bottom], np.float32)
    found = re.search(r' y="([\d.]+)"', text_shape(box, kind, "dent", PHOTO))
    assert found
    return float(found[1])


def test_missed_text_lies_above_its_box_and_other_text_below() -> None:
    assert baseline(100, 200, "missed") < 100
    assert baseline(100, 200, "wrong") > 200


def test_text_lies_inside_a_box_at_the_edge() -> None:
    assert baseline(5, 200, "missed") == 5 + LETTERS_PX
    assert 300 < baseline(300, 395, "wrong") < 395


def test_text_is_never_markup() -> None:
    box = np.array([1, 2, 3, 4], np.float32)
    assert "<b>" not in text_shape(box, "wrong", "<b>", PHOTO)
    assert "<b>" not in box_shape(box, "wrong", "<b>")
