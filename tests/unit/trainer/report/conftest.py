"""Five small photos with detections: right, confused, escaped, alarmed, passed."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.detections import Detections, no_detections
from trainer.data.dataset import Photo

SIDE_PX = 60


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    """Three defective photos with two boxes each, two good ones."""
    found = []
    for number in range(5):
        path = tmp_path / f"part-{number}&.png"
        picture = np.full((SIDE_PX, SIDE_PX, 3), 40 * number, np.uint8)
        assert cv2.imwrite(str(path), picture)
        count = 2 if number < 3 else 0
        boxes = np.array([[5, 5, 20, 20], [30, 30, 50, 50]], np.float32)[:count]
        labels = np.array([0, 1], np.int64)[:count]
        found.append(Photo(path, f"{number:064}", SIDE_PX, SIDE_PX, boxes, labels))
    return found


def detections(*rows: tuple[int, float, int]) -> Detections:
    """Make detections from (x and y, score, label), 15 px wide."""
    if not rows:
        return no_detections()
    boxes = np.array([[x, x, x + 15, x + 15] for x, _, _ in rows], np.float32)
    scores = np.array([score for _, score, _ in rows], np.float32)
    return Detections(
        boxes, scores, np.array([label for _, _, label in rows], np.int64)
    )


@pytest.fixture
def found() -> list[Detections]:
    return [
        detections((5, 0.9, 0), (32, 0.8, 1)),  # both right
        detections((5, 0.9, 1), (32, 0.3, 1)),  # one confused, one below
        detections(),  # escaped
        detections((10, 0.7, 1)),  # a good part alarmed
        detections((10, 0.2, 1)),  # a good part passed
    ]
