"""Thresholds under a limit: what was asked for, and what holds on other photos."""

from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections
from models.errors import DatasetError
from models.manifest import ThresholdRule, Thresholds
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import Counts, count
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.evaluation.thresholds.limits import ErrorLimit
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


@pytest.mark.parametrize("share", [0.02, 0.1])
@pytest.mark.parametrize("rule", [OVERKILL, ESCAPES])
def test_limit_that_was_asked_for_holds_on_photos_that_were_not_chosen_on(
    rule: ThresholdRule, share: float
) -> None:
    alarmed = escaped = good = bad = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        mine = scene(rng, bad=60, good=60)
        chosen = choose_thresholds(*mine, LABELS, "val", ErrorLimit(rule, share))
        new = counted(*scene(rng, bad=150, good=150), chosen)
        alarmed, good = alarmed + new.alarmed, good + new.good
        escaped, bad = escaped + new.escaped, bad + new.defective
    errors = alarmed / good if rule is OVERKILL else escaped / bad
    assert errors <= share + 0.025  # sixty parts: one more or less is 1.7 %
    others = escaped / bad if rule is OVERKILL else alarmed / good
    assert others < 0.6  # not by closing, nor by opening everything


def test_reached_share_equals_the_counts() -> None:
    mine = scene(np.random.default_rng(1), bad=40, good=50)
    chosen = choose_thresholds(*mine, LABELS, "val", ErrorLimit(OVERKILL, 0.1))
    counts = counted(*mine, chosen)
    assert chosen.reached == counts.alarmed / 50 <= 0.1
    chosen = choose_thresholds(*mine, LABELS, "val", ErrorLimit(ESCAPES, 0.1))
    counts = counted(*mine, chosen)
    assert chosen.reached == counts.escaped / 40 <= 0.1


def test_default_rule_keeps_its_limit_on_the_photos_that_chose() -> None:
    mine = scene(np.random.default_rng(2), bad=40, good=100)
    chosen = choose_thresholds(*mine, LABELS, "val")
    assert (chosen.rule, chosen.target) == (OVERKILL, 0.02)
    assert counted(*mine, chosen).alarmed == 2
    assert chosen.cross_checked is not None
    assert chosen.reached == 0.02 < chosen.cross_checked  # chosen on the same photos
    assert chosen.at_most is not None
    assert chosen.at_most > chosen.cross_checked


def test_class_without_any_label_may_still_fire() -> None:
    mine = scene(np.random.default_rng(3), bad=40, good=40, classes=2)
    chosen = choose_thresholds(*mine, LABELS, "val")
    assert chosen.scores["c"] == 0.5


def test_few_photos_prove_little_and_state_how_many_are_needed() -> None:
    found, photos = scene(np.random.default_rng(4), bad=40, good=0)
    clear = [
        Detections(d.boxes, np.full(len(d), 0.9, np.float32), d.labels) for d in found
    ]
    limit = ErrorLimit(ESCAPES, 0.005)
    chosen = choose_thresholds(clear, photos, LABELS, "val", limit)
    assert (chosen.reached, chosen.cross_checked) == (0, 0)
    assert chosen.at_most == pytest.approx(0.0722, abs=1e-4)
    text = thresholds_text(chosen)
    assert "0 of 40 escaped" in text
    assert "with 95 % confidence at most 7.2 %" in text
    assert "To show 0.5 %, 598 defective parts without an escape" in text


def test_limit_out_of_reach_is_stated() -> None:
    found, photos = scene(np.random.default_rng(5), bad=20, good=10)
    blind = [
        d.select(np.arange(len(d)) < 0) if i < 4 else d for i, d in enumerate(found)
    ]
    limit = ErrorLimit(ESCAPES, 0.05)
    chosen = choose_thresholds(blind, photos, LABELS, "val", limit)
    assert chosen.reached is not None
    assert chosen.reached >= 0.2
    assert "No thresholds reach 5 % on these photos." in thresholds_text(chosen)


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
            Photo(Path("x.png"), "0" * 64, 200, 100, box[:defects], label[:defects])
        )
    return found, photos


def test_few_good_parts_give_best_f1() -> None:
    answer, photos = good_and_bad([0.3], [0.9, 0.6])
    chosen = choose_thresholds(answer, photos, ("a", "b"), "val")
    assert chosen.rule is ThresholdRule.BEST_F1
    assert 0.3 < chosen.scores["a"] < 0.6


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
