"""One threshold for all classes: what was asked for, and what holds on new photos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections
from models.errors import DatasetError
from models.manifest import Promise, ThresholdRule, Thresholds
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import Counts, count
from trainer.evaluation.thresholds.choose import (
    LOWEST_THRESHOLD,
    NEVER,
    UNSEEN_THRESHOLD,
    choose_thresholds,
)
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.evaluation.thresholds.parts import PhotoOrigins
from trainer.evaluation.thresholds.text import thresholds_text

OVERKILL, ESCAPES = ThresholdRule.OVERKILL, ThresholdRule.ESCAPES
LABELS = ("a", "b", "c")


def scene(
    rng: np.random.Generator, *, bad: int, good: int, classes: int = 3
) -> tuple[list[Detections], list[Photo]]:
    """Return parts whose defects mostly score higher than their false alarms."""
    found, photos = [], []
    for number in range(bad + good):
        defects = int(rng.integers(1, 3)) if number < bad else 0
        false = int(rng.poisson(0.7))
        count_ = defects + false
        labels = rng.integers(0, classes, count_)
        middle = np.where(np.arange(count_) < defects, 1.5, -1.5)
        scores = 1 / (1 + np.exp(-rng.normal(middle, 1.3)))
        boxes = np.array([[40 * i, 0, 40 * i + 30, 30] for i in range(count_)])
        boxes = boxes.reshape(-1, 4).astype(np.float32)
        order = np.argsort(-scores)
        found.append(
            Detections(boxes[order], scores[order].astype(np.float32), labels[order])
        )
        photos.append(
            Photo(
                Path("x.png"),
                f"{rng.integers(2**60):064x}",
                400,
                100,
                boxes[:defects],
                labels[:defects],
            )
        )
    return found, photos


def counted(
    found: list[Detections], photos: list[Photo], thresholds: Thresholds
) -> Counts:
    return count(found, photos, thresholds.decision_rule(list(thresholds.scores)))


@pytest.mark.parametrize(
    ("rule", "share"),
    [(OVERKILL, 0.02), (OVERKILL, 0.1), (ESCAPES, 0.05), (ESCAPES, 0.1)],
)
def test_promise_holds_on_photos_that_were_not_chosen_on(
    rule: ThresholdRule, share: float
) -> None:
    errors, others = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        mine = scene(rng, bad=60, good=60)
        chosen = choose_thresholds(*mine, LABELS, "val", ErrorLimit(rule, share))
        assert chosen.promise is not None
        assert chosen.promise.share <= share
        new = counted(*scene(rng, bad=100, good=100), chosen)
        errors.append(new.alarmed if rule is OVERKILL else new.escaped)
        others.append(new.escaped if rule is OVERKILL else new.alarmed)
    promised = chosen.promise.share
    # 30 draws of about the same spread as the mean: half of it more is chance
    assert np.mean(errors) / 100 <= 1.5 * promised
    assert np.mean(others) / 100 < 0.8  # not by closing, nor by opening everything


def test_promise_is_the_rank_over_one_part_more_with_its_exact_interval() -> None:
    mine = scene(np.random.default_rng(2), bad=40, good=149)
    chosen = choose_thresholds(*mine, LABELS, "val")
    assert (chosen.rule, chosen.target) == (OVERKILL, 0.02)
    assert chosen.promise == Promise(share=3 / 150, parts=149)
    assert counted(*mine, chosen).alarmed <= 2  # the third highest score is passed
    assert chosen.at_most == pytest.approx(0.0416, abs=1e-4)  # Clopper-Pearson, 2 hits
    assert len(set(chosen.scores.values())) == 1


def test_reached_share_equals_the_counts() -> None:
    mine = scene(np.random.default_rng(1), bad=40, good=50)
    chosen = choose_thresholds(*mine, LABELS, "val", ErrorLimit(OVERKILL, 0.1))
    assert chosen.reached == counted(*mine, chosen).alarmed / 50 < 0.1
    chosen = choose_thresholds(*mine, LABELS, "val", ErrorLimit(ESCAPES, 0.1))
    assert chosen.reached == counted(*mine, chosen).escaped / 40 < 0.1


def test_too_few_good_parts_use_the_highest_score_and_state_how_many_are_missing() -> (
    None
):
    mine = scene(np.random.default_rng(3), bad=40, good=20)
    chosen = choose_thresholds(*mine, LABELS, "val")
    assert chosen.promise == Promise(share=1 / 21, parts=20)
    assert counted(*mine, chosen).alarmed == 0
    text = thresholds_text(chosen)
    assert (
        "at most 4.8 % of good parts like these are alarmed, by 20 good parts" in text
    )
    assert "2 % takes 49 good parts to measure on: 29 more good parts, not" in text
    assert "parts like these only: same product, camera and light" in text


def test_few_defective_parts_promise_little() -> None:
    found, photos = scene(np.random.default_rng(4), bad=40, good=0)
    clear = [
        Detections(d.boxes, np.full(len(d), 0.9, np.float32), d.labels) for d in found
    ]
    limit = ErrorLimit(ESCAPES, 0.005)
    chosen = choose_thresholds(clear, photos, LABELS, "val", limit)
    assert chosen.reached == 0
    assert chosen.promise == Promise(share=1 / 41, parts=40)
    text = thresholds_text(chosen)
    assert "at most 2.4 % of defective parts like these escape," in text
    assert "0 of 40 escaped: with 95 % confidence at most 7.2 %." in text
    assert "0.5 % takes 199 defective parts to measure on: 159 more" in text


def test_limit_out_of_reach_promises_nothing() -> None:
    found, photos = scene(np.random.default_rng(5), bad=20, good=10)
    blind = [
        d.select(np.arange(len(d)) < 0) if i < 4 else d for i, d in enumerate(found)
    ]
    limit = ErrorLimit(ESCAPES, 0.05)
    chosen = choose_thresholds(blind, photos, LABELS, "val", limit)
    assert set(chosen.scores.values()) == {LOWEST_THRESHOLD}
    assert chosen.promise is None
    assert chosen.reached is not None
    assert chosen.reached >= 0.2
    assert "No thresholds reach 5 % on these photos." in thresholds_text(chosen)


def test_good_part_with_the_highest_possible_score_leaves_no_promise() -> None:
    answer, photos = good_and_bad([1.0] * 3 + [0.2] * 60, [0.9])
    chosen = choose_thresholds(answer, photos, ("a",), "val")
    assert chosen.scores["a"] == NEVER
    assert chosen.promise is None
    assert "3 of 63 alarmed" in thresholds_text(chosen)


def test_overkill_cannot_be_limited_without_good_parts() -> None:
    mine = scene(np.random.default_rng(6), bad=20, good=0)
    with pytest.raises(DatasetError, match=r"good/"):
        choose_thresholds(*mine, LABELS, "val", ErrorLimit(OVERKILL, 0.01))


def good_and_bad(
    good_scores: list[float], bad_scores: list[float]
) -> tuple[list[Detections], list[Photo]]:
    """Return good parts and defective ones with one detection of label 0 each."""
    box = np.array([[10, 10, 30, 30]], np.float32)
    label = np.zeros(1, np.int64)
    found, photos = [], []
    for number, score in enumerate((*good_scores, *bad_scores)):
        found.append(Detections(box, np.array([score], np.float32), label))
        defects = int(number >= len(good_scores))
        photos.append(
            Photo(
                Path("x.png"),
                f"{number:064}",
                *(200, 100),
                box[:defects],
                label[:defects],
            )
        )
    return found, photos


def test_few_good_parts_give_best_f1_and_no_promise() -> None:
    answer, photos = good_and_bad([0.3], [0.9, 0.6])
    chosen = choose_thresholds(answer, photos, ("a", "b"), "val")
    assert chosen.rule is ThresholdRule.BEST_F1
    assert chosen.promise is None
    assert chosen.scores == {"a": 0.45, "b": 0.45}


def test_best_f1_counts_the_classes_together() -> None:
    answer, photos = good_and_bad([], [0.9, 0.8, 0.4])
    answer[0] = replace(answer[0], labels=np.ones(1, np.int64))  # of the wrong class
    chosen = choose_thresholds(answer, photos, ("a", "b"), "val")
    assert set(chosen.scores.values()) == {0.2}


def test_without_a_box_or_a_detection_there_is_nothing_to_choose_from() -> None:
    answer, photos = good_and_bad([0.3], [])
    chosen = choose_thresholds(answer, photos, ("a",), "val")
    assert chosen.scores["a"] == UNSEEN_THRESHOLD


def test_threshold_lies_in_the_middle_of_the_gap_above_the_good_parts() -> None:
    good = [0.05] * 90 + [0.7, 0.6, 0.5]
    answer, photos = good_and_bad(good, [0.9] * 10 + [0.65])
    chosen = choose_thresholds(answer, photos, ("a", "b"), "val")
    assert chosen.promise == Promise(share=1 / 94, parts=93)
    assert chosen.scores["a"] == 0.8  # between 0.7001 and 0.9
    assert chosen.reached == 0


def test_threshold_lies_in_the_middle_of_the_gap_below_the_defective_parts() -> None:
    answer, photos = good_and_bad([0.3, 0.05], [0.9] * 8 + [0.7])
    limit = ErrorLimit(ESCAPES, 0.1)
    chosen = choose_thresholds(answer, photos, ("a",), "val", limit)
    assert chosen.scores["a"] == 0.5
    assert chosen.promise == Promise(share=0.1, parts=9)


def test_no_threshold_is_lower_than_the_lowest() -> None:
    answer, photos = good_and_bad([0.05] * 50, [0.12])
    chosen = choose_thresholds(answer, photos, ("a",), "val")
    assert LOWEST_THRESHOLD <= chosen.scores["a"] <= 0.12


@pytest.mark.parametrize("gap", [1e-7, 4e-5, 1e-4, 2e-4])
def test_narrow_gap_never_lets_the_limiting_part_fire(gap: float) -> None:
    for start in np.random.default_rng(7).uniform(0.2, 0.9, 50):
        answer, photos = good_and_bad([float(start)] * 49, [float(start + gap)])
        chosen = choose_thresholds(answer, photos, ("a",), "val")
        assert counted(answer, photos, chosen).alarmed == 0
        limit = ErrorLimit(ESCAPES, 0.5)
        chosen = choose_thresholds(answer, photos, ("a",), "val", limit)
        assert counted(answer, photos, chosen).escaped == 0


def test_frames_of_one_scene_are_one_part() -> None:
    answer, photos = good_and_bad([0.2] * 100, [0.9])
    scenes = {photo.sha256: number // 4 for number, photo in enumerate(photos)}
    chosen = choose_thresholds(
        answer, photos, ("a",), "val", origins=PhotoOrigins(scenes, {})
    )
    assert chosen.promise == Promise(share=1 / 26, parts=25)


def test_groups_weigh_the_same_and_limit_what_is_promised() -> None:
    """Two of four parts of one lot score high: half of the parts of such a lot."""
    good = [0.05] * 196 + [0.8, 0.7, 0.06, 0.06]
    answer, photos = good_and_bad(good, [0.9])
    numbers = {photo.sha256: min(i // 50, 3) for i, photo in enumerate(photos[:196])}
    numbers |= {photo.sha256: 4 for photo in photos[196:200]}
    origins = PhotoOrigins({}, numbers)
    chosen = choose_thresholds(answer, photos, ("a",), "val", origins=origins)
    assert chosen.promise is not None
    assert chosen.scores["a"] > 0.8  # without groups 0.8 may be alarmed
    assert chosen.promise.share == pytest.approx(4 / 201)
    assert chosen.promise.groups == 5
    assert chosen.promise.unseen_group == pytest.approx(1.1 / 6)
    text = thresholds_text(chosen)
    assert "at most 18 % on average is guaranteed, and with 5 groups nothing" in text
    alone = choose_thresholds(answer, photos, ("a",), "val")
    assert alone.scores["a"] < 0.8


def test_rule_and_sizes_are_stored() -> None:
    answer, photos = good_and_bad([0.05] * 40, [0.9] * 5)
    chosen = choose_thresholds(answer, photos, ("a", "b"), "val")
    assert (chosen.images, chosen.good_images, chosen.target) == (45, 40, 0.02)
    assert chosen.chosen_on == "val"
