"""Photos with their detections."""

from pathlib import Path

import numpy as np

from models.detections import Detections, no_detections
from trainer.data.dataset import Photo
from trainer.evaluation.thresholds.scored import by_kind, highest_scores, score_images

BOX = np.array([[10, 10, 30, 30]], np.float32)
GOOD = Photo(Path("g.png"), "0" * 64, 99, 99, BOX[:0], np.zeros(0, np.int64))
BAD = Photo(Path("b.png"), "1" * 64, 99, 99, BOX, np.array([1]))


def test_highest_score_of_each_class_is_zero_without_a_detection() -> None:
    boxes = np.repeat(BOX, 3, axis=0)
    found = Detections(boxes, np.float32([0.9, 0.8, 0.3]), np.array([1, 0, 0]))
    images = score_images([found, no_detections()], [BAD, GOOD])
    np.testing.assert_allclose(highest_scores(images, 3), [[0.8, 0.9, 0], [0, 0, 0]])
    assert [round(image.highest, 3) for image in images] == [0.9, 0.0]


def test_right_detections_have_class_and_place() -> None:
    found = Detections(
        np.repeat(BOX, 2, axis=0), np.float32([0.9, 0.8]), np.array([0, 1])
    )
    [image] = score_images([found], [BAD])
    assert image.right.tolist() == [False, True]
    assert by_kind([image]) == ([], [image])
