"""Metrics and thresholds on detections made by hand."""

from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections, no_detections
from models.manifest import ThresholdRule, Thresholds
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import average_precisions, count, measure, wilson
from trainer.evaluation.thresholds.choose import choose_thresholds

BOX = [10.0, 10.0, 30.0, 30.0]


def photo(*labels: int) -> Photo:
    """Return a photo with one box for each label, side by side."""
    boxes = [
        [x + 40 * i if j % 2 == 0 else x for j, x in enumerate(BOX)]
        for i in range(len(labels))
    ]
    return Photo(
        Path("x.png"),
        "0" * 64,
        200,
        100,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
    )


def found(*rows: tuple[list[float], float, int]) -> Detections:
    """Return detections from (box, score, label), best first."""
    ordered = sorted(rows, key=lambda row: -row[1])
    return Detections(
        np.array([row[0] for row in ordered], np.float32).reshape(-1, 4),
        np.array([row[1] for row in ordered], np.float32),
        np.array([row[2] for row in ordered], np.int64),
    )


def thresholds(score: float) -> Thresholds:
    """Return one threshold for the labels a and b."""
    return Thresholds(
        scores={"a": score, "b": score},
        iou_threshold=0.65,
        rule=ThresholdRule.BEST_F1,
        chosen_on="val",
        images=0,
        good_images=0,
    )


def test_perfect_detections_score_one() -> None:
    photos = [photo(0), photo(1)]
    answer = [found((BOX, 0.9, 0)), found((BOX, 0.8, 1))]
    assert average_precisions(answer, photos, 2)[0.33] == pytest.approx(1.0)
    metrics = measure(answer, photos, ("a", "b"), thresholds(0.5), "val")
    assert (metrics.recall, metrics.precision, metrics.escapes) == (1, 1, 0)


def test_no_detection_at_all_is_measured_not_crashed() -> None:
    photos = [photo(0), photo()]
    metrics = measure([no_detections()] * 2, photos, ("a", "b"), thresholds(0.5), "val")
    assert (metrics.map_50, metrics.recall, metrics.escapes) == (0, 0, 1)


def test_overlap_between_a_third_and_a_half_counts_for_map_33_only() -> None:
    shifted = [20.0, 10.0, 40.0, 30.0]  # IoU 1/3 + with BOX: 200 / 600
    shifted[0] = shifted[2] - 22.0  # 18..40: 240 / 600 = 0.40
    precisions = average_precisions([found((shifted, 0.9, 0))], [photo(0)], 1)
    assert precisions[0.33] == pytest.approx(1.0)
    assert precisions[0.5] == 0


def test_wrong_class_is_an_error_and_not_an_escape() -> None:
    counts = count([found((BOX, 0.9, 1))], [photo(0)], np.full(2, 0.5, np.float32))
    assert (counts.right, counts.reported, counts.escaped) == (0, 1, 0)


def test_second_detection_of_one_box_is_wrong() -> None:
    answer = found((BOX, 0.9, 0), (BOX, 0.8, 0))
    counts = count([answer], [photo(0)], np.full(2, 0.5, np.float32))
    assert (counts.right, counts.reported) == (1, 2)


def test_alarmed_good_part_is_overkill() -> None:
    photos = [photo(), photo(), photo(0)]
    answer = [found((BOX, 0.9, 0)), no_detections(), found((BOX, 0.9, 0))]
    metrics = measure(answer, photos, ("a", "b"), thresholds(0.5), "val")
    assert metrics.overkill == 0.5
    assert metrics.good_images == 2


def test_interval_of_nothing_seen_is_the_whole_range() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_forty_photos_cannot_prove_half_a_percent() -> None:
    assert wilson(0, 40)[1] > 0.05


def test_wilson_matches_published_example() -> None:
    # Brown, Cai, DasGupta 2001: 15 of 50 gives 0.191 to 0.438
    low, high = wilson(15, 50)
    assert (round(low, 3), round(high, 3)) == (0.191, 0.438)


def test_few_good_parts_give_best_f1() -> None:
    photos = [photo(0), photo(0), photo()]
    answer = [found((BOX, 0.9, 0)), found((BOX, 0.6, 0)), found((BOX, 0.3, 0))]
    chosen = choose_thresholds(answer, photos, ("a", "b"), "val")
    assert chosen.rule is ThresholdRule.BEST_F1
    assert 0.3 < chosen.scores["a"] < 0.6


def good_and_bad(
    good_scores: list[float], bad_scores: list[float]
) -> tuple[list[Detections], list[Photo]]:
    """Return good parts and defective ones with one detection of label 0 each."""
    photos = [photo() for _ in good_scores] + [photo(0) for _ in bad_scores]
    return [found((BOX, s, 0)) for s in (*good_scores, *bad_scores)], photos


def test_with_enough_good_parts_overkill_stays_within_two_percent() -> None:
    good = [0.05] * 95 + [0.75, 0.7, 0.65, 0.6, 0.55]
    bad = [0.9] * 10 + [0.68, 0.5, 0.3]
    answer, photos = good_and_bad(good, bad)
    chosen = choose_thresholds(answer, photos, ("a", "b"), "val")
    assert chosen.rule is ThresholdRule.OVERKILL
    score = chosen.scores["a"]
    assert sum(s >= score for s in good) <= 2
    assert sum(s >= score for s in bad) == 11  # 0.68 is caught: the highest recall


def test_threshold_is_lowered_until_every_defect_is_found() -> None:
    answer, photos = good_and_bad([0.05] * 50, [0.9] * 5 + [0.2])
    chosen = choose_thresholds(answer, photos, ("a", "b"), "val")
    assert 0.1 <= chosen.scores["a"] <= 0.2


def test_rule_and_sizes_are_stored() -> None:
    answer, photos = good_and_bad([0.05] * 40, [0.9] * 5)
    chosen = choose_thresholds(answer, photos, ("a", "b"), "val")
    assert (chosen.images, chosen.good_images, chosen.target) == (45, 40, 0.02)
    assert chosen.chosen_on == "val"
