"""What other thresholds would do to five photos."""

import numpy as np
import pytest

from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.report.operating_point import (
    operating_curve,
    operating_panels,
    with_intervals,
)

THRESHOLD = np.full(3, 0.5, np.float32)


def test_higher_thresholds_find_less_and_alarm_less(
    photos: list[Photo], found: list[Detections]
) -> None:
    curve = operating_curve(found, photos, THRESHOLD)
    assert (np.diff(curve.found) <= 0).all()
    assert (np.diff(curve.escaped) >= 0).all()
    assert (np.diff(curve.alarmed) <= 0).all()
    assert (curve.alarmed[0], curve.good) == (2, 2)
    assert (curve.escaped[-1], curve.defective) == (3, 3)


def test_shares_without_any_photo_are_zero_and_unknown() -> None:
    shares, sides = with_intervals(np.zeros(2, np.int64), 0)
    assert shares.tolist() == [0, 0]
    assert sides.tolist() == [[0, 1], [0, 1]]


def test_share_of_all_photos_has_an_interval_up_to_one() -> None:
    shares, sides = with_intervals(np.array([5]), 5)
    assert shares.tolist() == [1]
    assert sides[0].tolist() == pytest.approx([0.566, 1], abs=1e-3)


def test_overkill_is_drawn_only_with_good_photos(
    photos: list[Photo], found: list[Detections]
) -> None:
    both = operating_panels(operating_curve(found, photos, THRESHOLD))
    assert len(both) == 2
    alone = operating_panels(operating_curve(found[:3], photos[:3], THRESHOLD))
    assert [title for title, _, _ in alone] == ["What other thresholds would do"]
    assert "good parts alarmed" not in alone[0][2]
