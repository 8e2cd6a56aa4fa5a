"""Sentences on what thresholds prove."""

import pytest

from models.manifest import ThresholdRule, Thresholds
from trainer.evaluation.thresholds.text import thresholds_text


def thresholds(rule: ThresholdRule, **figures: float) -> Thresholds:
    return Thresholds(
        scores={"a": 0.5},
        iou_threshold=0.65,
        rule=rule,
        chosen_on="val",
        images=140,
        good_images=100,
        **figures,
    )


def test_best_f1_states_how_many_good_parts_would_limit_false_alarms() -> None:
    text = thresholds_text(thresholds(ThresholdRule.BEST_F1))
    assert "best balance" in text
    assert "at least 30 good parts" in text


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
