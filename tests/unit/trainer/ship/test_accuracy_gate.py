"""The accuracy gate limits what a variant may lose on average and photo by photo."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections, no_detections
from models.manifest import Promise, ThresholdRule, Thresholds
from models.postprocess import DecisionRule
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import measure
from trainer.ship.accuracy_gate import AccuracyDrops, lost_photos, measure_drops

NOTHING = AccuracyDrops(
    map_50=0,
    map_75=0,
    recall=0,
    overkill=0,
    escapes=0,
    lost=(),
    box_step=0.001,
    good_step=0.001,
    defective_step=0.001,
)
THRESHOLDS = np.array([0.5], np.float32)
LIMIT = 0.005


def photo(name: str, *, good: bool = False) -> Photo:
    boxes = np.array([[0, 0, 9, 9]], np.float32)[: 0 if good else 1]
    return Photo(Path(name), name, 20, 20, boxes, np.zeros(len(boxes), np.int64))


def scored(score: float, left_px: int = 0) -> Detections:
    return Detections(
        np.array([[left_px, 0, left_px + 9, 9]], np.float32),
        np.array([score], np.float32),
        np.zeros(1, np.int64),
    )


def test_half_a_point_of_each_figure_is_allowed() -> None:
    edge = replace(
        NOTHING, map_50=0.005, map_75=0.005, recall=0.005, overkill=0.005, escapes=0.005
    )
    assert edge.refusal(LIMIT) == ""


def test_each_figure_that_loses_more_is_named() -> None:
    lost = replace(
        NOTHING, map_50=0.012, map_75=0.2, recall=0.03, overkill=0.04, escapes=0.05
    )
    refusal = lost.refusal(LIMIT)
    assert "mAP@.5 loses 1.2 points" in refusal
    assert "mAP@.75 loses 20.0 points" in refusal
    assert "recall loses 3.0 points" in refusal
    assert "overkill rises by 4.0 points" in refusal
    assert "escapes rise by 5.0 points" in refusal
    assert refusal.endswith("; 0.5 points, or one box or photo, are allowed.")


def test_drop_in_map_that_may_be_chance_is_allowed_up_to_a_limit() -> None:
    unsure = replace(NOTHING, map_75_error=0.01)
    assert replace(unsure, map_75=0.016).refusal(LIMIT) == ""
    assert "mAP@.5 loses" in replace(unsure, map_50=0.016).refusal(LIMIT)
    refusal = replace(unsure, map_75=0.018).refusal(LIMIT)
    assert "mAP@.75 loses 1.8 points" in refusal
    assert "or what may be chance (1.6 of mAP@.75), are allowed." in refusal
    few = replace(NOTHING, map_50_error=0.5, map_75_error=0.5)
    assert replace(few, map_50=0.02, map_75=0.05).refusal(LIMIT) == ""
    assert "(2.0 of mAP@.5 and 5.0 of mAP@.75)" in replace(few, map_50=1).refusal(LIMIT)
    assert "mAP@.75" in replace(few, map_75=0.051).refusal(LIMIT)


def test_error_of_a_drop_is_that_of_other_photos() -> None:
    photos = [photo(str(number)) for number in range(40)]
    before = [scored(0.9) for _ in photos]
    after = [scored(0.6, left_px=30) if n < 4 else scored(0.9) for n in range(40)]
    thresholds = Thresholds(
        scores={"a": 0.5},
        iou_threshold=0.65,
        rule=ThresholdRule.BEST_F1,
        reached=0.01,
        chosen_on="val",
        images=40,
        good_images=0,
    )
    metrics = [
        measure(found, photos, ["a"], thresholds, "val") for found in (before, after)
    ]
    kept, lost = (
        measure_drops(
            metrics[0],
            metrics[number],
            photos=photos,
            expected=before,
            found=found,
            labels=["a"],
            thresholds=thresholds,
        )
        for number, found in enumerate((before, after))
    )
    assert (kept.map_50_error, kept.map_75_error) == (0, 0)
    # 4 of 40 boxes are lost: the share of a binomial, whose error is 0.047
    assert lost.map_50_error == pytest.approx((0.1 * 0.9 / 40) ** 0.5, rel=0.4)


def test_one_box_of_few_is_allowed_and_two_are_not() -> None:
    few = replace(NOTHING, box_step=0.02)
    assert replace(few, recall=0.02).refusal(LIMIT) == ""
    assert "recall loses 4.0 points" in replace(few, recall=0.04).refusal(LIMIT)


def test_one_alarmed_good_photo_of_few_is_allowed_and_two_are_not() -> None:
    few = replace(NOTHING, good_step=0.1)
    assert replace(few, overkill=0.1).refusal(LIMIT) == ""
    assert "overkill rises" in replace(few, overkill=0.2).refusal(LIMIT)


def test_overkill_may_rise_to_its_cross_checked_value() -> None:
    optimistic = replace(NOTHING, overkill_optimism=0.06)
    assert replace(optimistic, overkill=0.06).refusal(LIMIT) == ""
    assert replace(optimistic, overkill=0.065).refusal(LIMIT) == ""
    assert "overkill rises by 7.0" in replace(optimistic, overkill=0.07).refusal(LIMIT)
    assert "escapes" in replace(optimistic, escapes=0.03).refusal(LIMIT)


@pytest.mark.parametrize(
    "expected", [{"cross_checked": 0.08}, {"promise": Promise(share=0.08, parts=99)}]
)
@pytest.mark.parametrize("rule", [ThresholdRule.OVERKILL, ThresholdRule.ESCAPES])
def test_optimism_is_the_share_on_new_parts_minus_the_one_reached(
    rule: ThresholdRule, expected: dict[str, float | Promise]
) -> None:
    thresholds = Thresholds(
        scores={"a": 0.5},
        iou_threshold=0.65,
        rule=rule,
        target=0.02,
        reached=0.01,
        chosen_on="val",
        images=2,
        good_images=1,
    ).model_copy(update=expected)
    photos = [photo("bad"), photo("good", good=True)]
    found = [scored(0.9), no_detections()]
    metrics = measure(found, photos, ["a"], thresholds, "val")
    drops = measure_drops(
        metrics,
        metrics,
        photos=photos,
        expected=found,
        found=found,
        labels=["a"],
        thresholds=thresholds,
    )
    shares = drops.overkill_optimism, drops.escapes_optimism
    wanted = (0.07, 0) if rule is ThresholdRule.OVERKILL else (0, 0.07)
    assert shares == pytest.approx(wanted)


def test_escaped_parts_are_named_even_where_the_average_improves() -> None:
    few = replace(NOTHING, escapes=-0.1, defective_step=0.1)
    assert replace(few, lost=("a.png",)).refusal(LIMIT) == ""
    refusal = replace(few, lost=("a.png", "b.png", "c.png", "d.png")).refusal(LIMIT)
    assert "4 parts escape (a.png, b.png, c.png and 1 more)" in refusal


def test_photo_is_lost_when_its_true_positives_leave_no_detection() -> None:
    photos = [photo("lost"), photo("kept"), photo("never"), photo("good", good=True)]
    before = [scored(0.9), scored(0.9), scored(0.9, left_px=11), scored(0.9)]
    after = [scored(0.4), scored(0.6), no_detections(), no_detections()]
    assert lost_photos(photos, before, after, DecisionRule(THRESHOLDS)) == ("lost",)
