"""A dot for each part, and a line for each threshold."""

import re

import numpy as np

from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.report.part_scores import PartScores, part_scores, score_panel

LABELS = ("dent", "<hole>")


def test_every_photo_is_one_dot_at_its_highest_score(
    photos: list[Photo], found: list[Detections]
) -> None:
    scores = part_scores(found, photos)
    assert [round(score, 2) for score, _ in scores.good] == [0.7, 0.2]
    assert [round(score, 2) for score, _ in scores.defective] == [0.9, 0.9, 0]
    _, _, chart = score_panel(scores, np.full(2, 0.5, np.float32), LABELS)
    assert chart.count("<circle") == 5
    assert "part-3&amp;.png 0.700" in chart
    assert chart.count('class="mark') == 1
    assert "threshold: 0.500" in chart


def test_each_threshold_of_an_older_version_has_its_line() -> None:
    thresholds = np.array([0.5, 0.25], np.float32)
    _, text, chart = score_panel(PartScores((), ()), thresholds, LABELS)
    assert chart.count('class="mark') == 2
    assert "threshold of &lt;hole&gt;: 0.250" in chart
    assert "Each class has its own" in text


def test_many_parts_with_one_score_stay_in_their_lane() -> None:
    scores = PartScores(((0.0, "good"),) * 500, ((1.0, "bad"),) * 500)
    _, _, chart = score_panel(scores, np.full(1, 0.5, np.float32), LABELS[:1])
    heights = [float(y) for y in re.findall(r'cy="([0-9.]+)"', chart)]
    assert 0 < min(heights) < max(heights[:500]) < min(heights[500:])
