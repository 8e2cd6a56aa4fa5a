"""Sentences on what thresholds prove."""

import pytest

from models.manifest import Promise, PromiseBasis, ThresholdRule, Thresholds
from trainer.evaluation.thresholds.text import thresholds_text


def thresholds(rule: ThresholdRule, **fields: object) -> Thresholds:
    values: dict[str, object] = {
        "scores": {"a": 0.5},
        "iou_threshold": 0.65,
        "rule": rule,
        "chosen_on": "val",
        "images": 140,
        "good_images": 100,
    }
    return Thresholds.model_validate(values | fields)


def test_best_f1_states_how_many_good_parts_would_limit_false_alarms() -> None:
    text = thresholds_text(thresholds(ThresholdRule.BEST_F1))
    assert text.startswith("One score threshold for all classes gives the best bal")
    assert "at least 9 good parts to measure on, and 49 for at most 2 %" in text


def test_best_f1_of_an_older_version_is_of_each_class() -> None:
    both = thresholds(ThresholdRule.BEST_F1, scores={"a": 0.5, "b": 0.4})
    assert "each class the best balance" in thresholds_text(both)


def test_promise_states_its_parts_its_interval_and_what_it_assumes() -> None:
    text = thresholds_text(
        thresholds(
            ThresholdRule.OVERKILL,
            target=0.02,
            promise=Promise(share=2 / 101, parts=100),
            reached=0.01,
            at_most=0.0466,
        )
    )
    assert text == (
        "One score threshold for all classes: on average at most 2 % of good parts "
        "like these are alarmed, by 100 good parts that nothing else was chosen on. "
        "1 of 100 alarmed: with 95 % confidence at most 4.7 %. This is for parts like "
        "these only: same product, camera and light."
    )


def test_promise_with_groups_states_their_mean_and_what_is_guaranteed() -> None:
    promise = Promise(share=0.02, parts=99, groups=7, unseen_group=0.1425)
    text = thresholds_text(
        thresholds(ThresholdRule.OVERKILL, target=0.02, promise=promise)
    )
    assert "7 groups that were not trained on; at most 2 % in their mean" in text
    assert "on average at most 2 % of good parts of these groups are alarmed" in text
    assert "not seen expect more: at most 14 % on average is guaranteed, and" in text
    assert "and with 7 groups nothing below 12 % can be." in text
    assert "like these" not in text
    assert "parts like these only" not in text


def test_promise_by_folds_states_what_is_guaranteed() -> None:
    promise = Promise(share=0.02, parts=99, basis=PromiseBasis.FOLDS)
    text = thresholds_text(
        thresholds(ThresholdRule.OVERKILL, target=0.02, promise=promise)
    )
    assert "Of the final detector nothing is guaranteed." in text


def test_overkill_states_what_was_reached_and_what_it_proves() -> None:
    text = thresholds_text(
        thresholds(
            ThresholdRule.OVERKILL,
            target=0.02,
            reached=0.02,
            cross_checked=0.04,
            at_most=0.09,
            photos_to_show=149,
        )
    )
    assert "at most 2 % of good parts are alarmed" in text
    assert "2 of 100 alarmed (4 when the thresholds are chosen without them)" in text
    assert "with 95 % confidence at most 9 %" in text
    assert "To show 2 %, 149 good parts without an alarm are needed." in text
    assert "No thresholds reach" not in text


def test_proven_limit_asks_for_no_further_photos() -> None:
    text = thresholds_text(
        thresholds(
            ThresholdRule.ESCAPES,
            target=0.1,
            reached=0.0,
            at_most=0.072,
            photos_to_show=29,
        )
    )
    assert "0 of 40 escaped: with 95 % confidence at most 7.2 %." in text
    assert "To show" not in text


def test_limit_that_is_not_reached_is_stated() -> None:
    text = thresholds_text(
        thresholds(
            ThresholdRule.ESCAPES,
            target=0.05,
            reached=0.2,
            at_most=0.33,
            photos_to_show=59,
        )
    )
    assert "No thresholds reach 5 % on these photos." in text


@pytest.mark.parametrize("rule", [ThresholdRule.OVERKILL, ThresholdRule.ESCAPES])
def test_thresholds_of_an_older_version_state_only_their_aim(
    rule: ThresholdRule,
) -> None:
    text = thresholds_text(thresholds(rule, target=0.02))
    assert text.count(".") == 1
