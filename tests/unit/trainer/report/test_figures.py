"""Curves, confusions and the worst photos of five photos."""

import numpy as np
import pytest

from models.detections import Detections
from models.postprocess import CROSS_CLASS_IOU, DecisionRule
from trainer.data.dataset import Photo
from trainer.report.figures import (
    MatchedPhoto,
    alarmed_good_photos,
    confusion,
    label_figures,
    match_photo,
    worst_photos,
)

RULE = DecisionRule(np.full(3, 0.5, np.float32), CROSS_CLASS_IOU)


def matched(photos: list[Photo], found: list[Detections]) -> list[MatchedPhoto]:
    return [match_photo(d, p, RULE) for d, p in zip(found, photos, strict=True)]


def test_escaped_photos_come_before_other_faults(
    photos: list[Photo], found: list[Detections]
) -> None:
    worst = worst_photos(matched(photos, found), 9)
    assert [one.photo for one in worst] == [photos[2], photos[1]]
    assert worst[0].escaped
    assert worst[1].missed.tolist() == [True, True]
    assert worst[1].right.tolist() == [False]


def test_only_good_photos_with_a_detection_are_alarmed(
    photos: list[Photo], found: list[Detections]
) -> None:
    alarmed = alarmed_good_photos(matched(photos, found))
    assert [one.photo for one in alarmed] == [photos[3]]


def test_confusion_counts_every_box_and_every_report_once(
    photos: list[Photo], found: list[Detections]
) -> None:
    table = confusion(matched(photos, found), 3)
    assert table.tolist() == [
        [1, 1, 0, 1],  # right, taken for a dent, missed
        [0, 1, 0, 2],
        [0, 0, 0, 0],
        [0, 1, 0, 0],  # the alarmed good part
    ]


def test_average_precision_of_a_label_is_the_area_below_its_curve(
    photos: list[Photo], found: list[Detections]
) -> None:
    first, second, unused = label_figures(found, photos, RULE)
    assert first.boxes == second.boxes == 3
    assert (first.found, first.false_positives) == (1, 0)
    assert first.average_precision == pytest.approx(34 / 101)  # recall 0 to 0.33
    # scores 0.9 wrong, 0.8 right, 0.7 wrong, 0.3 right, 0.2 wrong: 1/2 all along
    assert second.precision.tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.4])
    assert second.average_precision == pytest.approx(0.5 * 67 / 101)
    assert unused.boxes == 0
