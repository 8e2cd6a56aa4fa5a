"""Metrics of detections made by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections, no_detections
from models.manifest import Metrics, ThresholdRule, Thresholds
from models.postprocess import CROSS_CLASS_IOU, DecisionRule
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import (
    average_precision,
    average_precisions,
    count,
    measure,
    monotonous,
)

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


def rule(score: float) -> DecisionRule:
    """Return the rule of one threshold for the labels a and b."""
    return DecisionRule(np.full(2, score, np.float32), CROSS_CLASS_IOU)


def test_perfect_detections_score_one() -> None:
    photos = [photo(0), photo(1)]
    answer = [found((BOX, 0.9, 0)), found((BOX, 0.8, 1))]
    assert average_precisions(answer, photos, 2)[0.33] == pytest.approx(1.0)
    metrics = measure(answer, photos, ("a", "b"), thresholds(0.5), "val")
    assert (metrics.recall, metrics.precision, metrics.escapes) == (1, 1, 0)


def test_photos_without_any_detection_are_measured() -> None:
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
    counts = count([found((BOX, 0.9, 1))], [photo(0)], rule(0.5))
    assert (counts.true_positives, counts.reported, counts.escaped) == (0, 1, 0)


def test_second_detection_of_one_box_is_wrong() -> None:
    answer = found((BOX, 0.9, 0), (BOX, 0.8, 0))
    counts = count([answer], [photo(0)], rule(0.5))
    assert (counts.true_positives, counts.reported) == (1, 2)


def test_boxes_of_two_classes_on_one_defect_are_one_detection() -> None:
    answer = found((BOX, 0.9, 0), (BOX, 0.8, 1))
    counts = count([answer], [photo(0)], rule(0.5))
    assert (counts.true_positives, counts.reported) == (1, 1)
    apart = count([answer], [photo(0)], DecisionRule(rule(0.5).score_thresholds))
    assert (apart.true_positives, apart.reported) == (1, 2)


def test_average_precision_uses_the_boxes_that_are_no_detections_of_their_own() -> None:
    photos = [photo(0), photo(1)]
    answer = [found((BOX, 0.9, 0)), found((BOX, 0.9, 0), (BOX, 0.8, 1))]
    merged = thresholds(0.5).model_copy(update={"cross_class_iou": CROSS_CLASS_IOU})
    per_class, one = (
        measure(answer, photos, ("a", "b"), each, "val")
        for each in (thresholds(0.5), merged)
    )
    assert (per_class.recall, one.recall) == (1.0, 0.5)
    assert (per_class.precision, one.precision) == (2 / 3, 0.5)
    assert per_class.map_50 == one.map_50 == pytest.approx(1.0)
    assert per_class.escapes == one.escapes == 0


def test_overkill_without_a_good_part_is_not_measured() -> None:
    metrics = measure([found((BOX, 0.9, 0))], [photo(0)], "ab", thresholds(0.5), "val")
    assert (metrics.overkill, metrics.overkill_interval) == (None, None)
    assert (metrics.recall, metrics.escapes) == (1, 0)
    assert metrics.model_dump(mode="json")["overkill"] is None


def test_only_overkill_is_measured_on_good_parts_alone() -> None:
    photos = [photo(), photo()]
    metrics = measure([no_detections()] * 2, photos, "ab", thresholds(0.5), "val")
    document = metrics.model_dump(mode="json")
    measured = {name for name, value in document.items() if value is not None}
    assert measured == {
        "overkill",
        "overkill_interval",
        "images",
        "good_images",
        "bad_images",
        "split",
    }


def test_share_of_nothing_in_an_older_file_is_read_as_not_measured() -> None:
    answer, photos = [found((BOX, 0.9, 0))], [photo(0)]
    metrics = measure(answer, photos, "ab", thresholds(0.5), "val")
    older = metrics.model_dump(mode="json")
    older |= {"overkill": 0.0, "overkill_interval": [0.0, 1.0]}
    assert Metrics.model_validate(older) == metrics


def test_alarmed_good_part_is_overkill() -> None:
    photos = [photo(), photo(), photo(0)]
    answer = [found((BOX, 0.9, 0)), no_detections(), found((BOX, 0.9, 0))]
    metrics = measure(answer, photos, ("a", "b"), thresholds(0.5), "val")
    assert metrics.overkill == 0.5
    assert metrics.good_images == 2


def test_average_precision_of_one_class_equals_pycocotools() -> None:
    answer = [found((BOX, 0.9, 0)), found((BOX, 0.8, 0)), found((BOX, 0.7, 0))]
    photos = [photo(0), photo(), photo(0)]
    hits = np.array([1, 1, 2])
    recall, precision = hits / 2, hits / np.arange(1, 4)
    ours = average_precision(recall, monotonous(precision))
    assert ours == pytest.approx(average_precisions(answer, photos, 1)[0.33])


def test_defective_part_without_boxes_counts_in_escapes_and_auroc_only() -> None:
    bad = replace(photo(), is_bad=True)
    photos = [photo(0), photo(), bad, bad]
    hits = [
        found((BOX, 0.9, 0)),
        found((BOX, 0.2, 0)),
        found((BOX, 0.8, 1)),
        no_detections(),
    ]
    with_bad = measure(hits, photos, ("a", "b"), thresholds(0.5), "val")
    plain = measure(hits[:2], photos[:2], ("a", "b"), thresholds(0.5), "val")
    assert (with_bad.escapes, plain.escapes) == (pytest.approx(1 / 3), 0)
    assert (with_bad.auroc, plain.auroc) == (pytest.approx(2 / 3), 1)
    assert (with_bad.precision, with_bad.map_50) == (plain.precision, plain.map_50)
    assert (with_bad.bad_images, with_bad.good_images, with_bad.images) == (2, 1, 4)


def test_auroc_is_null_without_good_or_without_defective_parts() -> None:
    for photos in ([photo()], [photo(0)]):
        metrics = measure([no_detections()], photos, ("a", "b"), thresholds(0.5), "val")
        assert (metrics.auroc, metrics.auroc_interval) == (None, None)
