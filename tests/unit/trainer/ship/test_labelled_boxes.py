"""The package holds sizes, places and scores of the labelled defects."""

from pathlib import Path

import numpy as np

from models.detections import Detections, no_detections
from trainer.data.dataset import Photo
from trainer.ship.labelled_boxes import measure_labelled_boxes


def photo(*rows: tuple[int, float, float, float, float], width_px: int = 200) -> Photo:
    """Return a photo of half the height, with rows of label and box."""
    boxes = np.array([row[1:] for row in rows], np.float32).reshape(-1, 4)
    labels = np.array([row[0] for row in rows], np.int64)
    return Photo(Path("a"), "0" * 64, width_px, width_px // 2, boxes, labels)


def scored(*rows: tuple[int, float]) -> Detections:
    return Detections(
        np.zeros((len(rows), 4), np.float32),
        np.array([score for _, score in rows], np.float32),
        np.array([label for label, _ in rows], np.int64),
    )


PHOTOS = (
    photo((0, 10, 10, 20, 14), (1, 100, 50, 150, 90)),
    photo((0, 160, 60, 180, 100)),
    photo(),
    photo((0, 100, 50, 130, 60), width_px=400),
)


def test_sizes_are_the_longer_sides_in_pixels_and_shares_of_the_photo() -> None:
    boxes = measure_labelled_boxes(PHOTOS, ("scratch", "stain"), ())["scratch"]
    assert boxes.count == 3
    sizes = (boxes.smallest_px, boxes.median_px, boxes.largest_px)
    assert sizes == (10, 30, 40)
    assert (boxes.smallest_share, boxes.largest_share) == (0.05, 0.2)
    assert boxes.photo_size_px == (200, 100)


def test_places_are_the_rectangle_around_the_centres() -> None:
    boxes = measure_labelled_boxes(PHOTOS, ("scratch", "stain"), ())
    assert boxes["scratch"].centres == (0.075, 0.12, 0.85, 0.8)
    assert boxes["stain"].centres == (0.625, 0.7, 0.625, 0.7)


def test_highest_score_of_each_label_is_kept() -> None:
    found = [scored((0, 0.4), (1, 0.7)), no_detections(), scored((0, 0.91234))]
    boxes = measure_labelled_boxes(PHOTOS, ("scratch", "stain"), found)
    assert boxes["scratch"].highest_score == 0.9123
    assert boxes["stain"].highest_score == 0.7
    none = measure_labelled_boxes(PHOTOS, ("scratch", "stain"), [no_detections()])
    assert none["stain"].highest_score is None


def test_label_without_boxes_is_left_out() -> None:
    assert "dent" not in measure_labelled_boxes(
        PHOTOS, ("scratch", "stain", "dent"), ()
    )


def test_box_that_leaves_the_photo_has_its_centre_inside() -> None:
    wide = photo((0, -300, 0, 100, 90))
    boxes = measure_labelled_boxes((wide,), ("scratch",), ())["scratch"]
    assert boxes.centres[0] == 0
    assert boxes.largest_share == 1
