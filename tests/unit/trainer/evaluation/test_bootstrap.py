"""Resampled photos, and the figures of what was found on them."""

from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections
from models.postprocess import DecisionRule
from trainer.data.dataset import Photo
from trainer.evaluation.bootstrap import draw_photos, mean_precisions, recall_parts
from trainer.evaluation.metrics import average_precisions


def scene(number: int) -> tuple[Photo, Detections]:
    """Return a photo with two boxes or none, and detections of which some are right."""
    rng = np.random.default_rng(number)
    count = 2 if number % 3 else 0
    boxes = np.array([[5, 5, 20, 20], [40, 40, 60, 60]], np.float32)
    labels = np.array([0, 1], np.int64)
    moved = np.concatenate((boxes + rng.uniform(-9, 9, (2, 1)), boxes + 25))
    order = np.argsort(-(scores := rng.uniform(0.05, 1, 4).astype(np.float32)))
    found = Detections(
        moved.astype(np.float32)[order],
        scores[order],
        np.array([0, 1, 1, 0], np.int64)[order],
    )
    name = Path(f"{number}.png")
    return Photo(name, f"{number:064}", 99, 99, boxes[:count], labels[:count]), found


PHOTOS, FOUND = map(list, zip(*(scene(n) for n in range(30)), strict=True))


def test_draws_keep_the_number_of_defective_and_good_photos() -> None:
    taken = draw_photos(PHOTOS, 0, draws=20)
    good = np.array([photo.is_good for photo in PHOTOS])
    assert (taken[:, good].sum(axis=1) == good.sum()).all()
    assert (taken[:, ~good].sum(axis=1) == (~good).sum()).all()
    assert len({tuple(row) for row in taken.tolist()}) == 20


def test_precision_of_a_draw_equals_pycocotools_on_its_photos() -> None:
    taken = np.vstack((np.ones((1, 30), np.int64), draw_photos(PHOTOS, 1, draws=3)))
    values = mean_precisions(FOUND, PHOTOS, 2, taken)
    for row, value in zip(taken, values, strict=True):
        places = np.repeat(np.arange(30), row)
        drawn = [FOUND[i] for i in places], [PHOTOS[i] for i in places]
        assert value == pytest.approx(average_precisions(*drawn, 2)[0.33], abs=0.01)


def test_boxes_are_counted_by_photo_and_class() -> None:
    hits, boxes = recall_parts(
        FOUND, PHOTOS, DecisionRule(np.array([0.01, 2.0], np.float32))
    )
    assert boxes.sum(axis=0).tolist() == [20, 20]
    assert 0 < hits[:, 0].sum() <= 20
    assert hits[:, 1].sum() == 0
