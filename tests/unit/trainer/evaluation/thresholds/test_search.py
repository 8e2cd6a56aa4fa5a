"""The joint search against an exhaustive one, and thresholds moved together."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from models.boxes import IntArray
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.thresholds.search import (
    LOWEST_THRESHOLD,
    NEVER,
    UNSEEN_THRESHOLD,
    CandidateCounts,
    Objective,
    ThresholdCandidates,
    best_f1,
    count_at,
    escape_candidates,
    firing_shifts,
    highest_scores,
    overkill_candidates,
    score_images,
    search,
    settled,
    shift_for_alarms,
    shift_for_escapes,
    shift_thresholds,
)

MANY = 10**9


def random_candidates(
    rng: np.random.Generator, classes: int, count: int
) -> list[ThresholdCandidates]:
    """Return random candidates of 24 good and 30 defective photos."""
    return [
        ThresholdCandidates(
            np.linspace(1, 0.1, count, dtype=np.float32),
            np.sort(rng.integers(0, 20, count)),
            np.sort(rng.integers(0, 9, count)),
            np.minimum(rng.geometric(0.2, 24) + rng.integers(1, count), count),
            rng.integers(0, count + 1, 30),
        )
        for _ in range(classes)
    ]


def most_found(allowed: int) -> Objective:
    def objective(counts: CandidateCounts) -> IntArray:
        excess = np.maximum(0, counts.alarmed - allowed)
        gain = counts.true_positives * 100 - counts.false_positives
        return np.asarray(gain - excess * MANY)

    return objective


def fewest_alarms(allowed: int) -> Objective:
    def objective(counts: CandidateCounts) -> IntArray:
        excess = np.maximum(0, counts.escaped - allowed)
        return np.asarray(counts.true_positives - counts.alarmed * 1000 - excess * MANY)

    return objective


def best_of_all(candidates: list[ThresholdCandidates], objective: Objective) -> int:
    every = product(*(range(len(one.thresholds)) for one in candidates))
    return max(int(objective(count_at(candidates, indices))) for indices in every)


@pytest.mark.parametrize("make_objective", [most_found, fewest_alarms])
@pytest.mark.parametrize(("classes", "count"), [(1, 12), (2, 12), (3, 7)])
def test_search_reaches_what_an_exhaustive_search_reaches(
    classes: int, count: int, make_objective: Callable[[int], Objective]
) -> None:
    for seed in range(25):
        rng = np.random.default_rng(seed)
        candidates = random_candidates(rng, classes, count)
        objective = make_objective(int(rng.integers(0, 4)))
        chosen = search(candidates, objective)
        reached = int(objective(count_at(candidates, chosen)))
        assert reached == best_of_all(candidates, objective)


def test_class_that_fires_on_an_alarmed_part_adds_no_overkill() -> None:
    """Alone, neither class may spend the one alarm that both share."""
    thresholds = np.array([1.0, 0.5], np.float32)
    good = np.array([1, 2, 2])  # the first part alarms at the second candidate
    bad = np.array([1, 1])
    one = ThresholdCandidates(thresholds, np.array([0, 3]), np.array([0, 0]), good, bad)
    assert search([one, one], most_found(1)) == [1, 1]
    apart = ThresholdCandidates(
        thresholds, np.array([0, 2]), np.array([0, 0]), good[::-1], bad
    )
    assert search([one, apart], most_found(1)) == [1, 0]


def photo(*labels: int) -> Photo:
    boxes = np.array([[40 * i, 0, 40 * i + 30, 30] for i in range(len(labels))])
    return Photo(
        *(Path("x.png"), "0" * 64, 400, 100),
        boxes.reshape(-1, 4).astype(np.float32),
        np.array(labels, np.int64),
    )


def found(*rows: tuple[int, float, int]) -> Detections:
    """Return detections from (place, score, label), best first."""
    boxes = np.array([[40 * place, 0, 40 * place + 30, 30] for place, _, _ in rows])
    return Detections(
        boxes.reshape(-1, 4).astype(np.float32),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([label for _, _, label in rows], np.int64),
    )


IMAGES = score_images(
    [
        found((0, 0.9, 0), (1, 0.4, 1)),
        found((0, 0.7, 0)),
        found((5, 0.6, 0)),
        found((5, 0.3, 1)),
    ],
    [photo(0), photo(0), photo(), photo()],
)


def test_highest_score_of_each_class_is_zero_without_a_detection() -> None:
    scores = highest_scores(IMAGES, 3)
    assert scores == pytest.approx(
        np.array([[0.9, 0.4, 0], [0.7, 0, 0], [0.6, 0, 0], [0, 0.3, 0]])
    )


def test_overkill_candidates_fall_to_the_last_true_positive_above_a_good_part() -> None:
    first, second = overkill_candidates(IMAGES, 2, allowed=0)
    # halfway from 0.7 to 0.6, and just above the good part that scores 0.6
    assert first.thresholds == pytest.approx([1, 0.65, 0.6001])
    assert first.true_positives.tolist() == [0, 2, 2]
    assert first.first_alarm.tolist() == [3, 3]
    assert second.thresholds.tolist() == [1]  # no true positive: stays closed


def test_escape_candidates_catch_one_more_defective_part_each() -> None:
    first, _ = escape_candidates(IMAGES, 2)
    assert first.thresholds == pytest.approx([1, 0.8, 0.65, LOWEST_THRESHOLD])
    assert first.first_report.tolist() == [1, 2]


def test_class_without_a_true_positive_opens_above_the_good_parts() -> None:
    candidates = overkill_candidates(IMAGES, 2, allowed=0)
    thresholds = settled(IMAGES, candidates, [1, 0], best_f1(IMAGES, 2))
    assert thresholds == pytest.approx([0.65, UNSEEN_THRESHOLD])


def test_best_f1_lies_between_the_last_hit_and_the_next_score() -> None:
    thresholds = best_f1(IMAGES, 2)
    assert thresholds == pytest.approx([0.65, UNSEEN_THRESHOLD])


def test_shift_moves_all_thresholds_between_lowest_and_never() -> None:
    thresholds = np.array([0.3, 0.8], np.float32)
    assert shift_thresholds(thresholds, 0) == pytest.approx([0.3, 0.8])
    assert shift_thresholds(thresholds, 1) == pytest.approx([NEVER, NEVER])
    assert shift_thresholds(thresholds, -1) == pytest.approx([LOWEST_THRESHOLD] * 2)


def test_photo_fires_up_to_its_shift_and_not_beyond() -> None:
    thresholds = np.array([0.5, 0.5], np.float32)
    scores = highest_scores(IMAGES, 2)
    shifts = firing_shifts(scores, thresholds)
    for row, shift in zip(scores, shifts, strict=True):
        assert (row >= shift_thresholds(thresholds, float(shift) - 0.01)).any()
        assert not (row >= shift_thresholds(thresholds, float(shift) + 0.01)).any()


def test_shift_for_alarms_lets_the_allowed_good_photos_fire() -> None:
    shifts = np.array([0.4, -0.2, 0.1], np.float32)
    assert shift_for_alarms(shifts, 1) == pytest.approx(0.25)
    assert shift_for_alarms(shifts, 0) == pytest.approx(0.55)  # half a gap above 0.4
    assert shift_for_alarms(shifts, 3) == -1


def test_shift_for_escapes_keeps_the_allowed_defective_photos_silent() -> None:
    shifts = np.array([0.4, -0.2, 0.1], np.float32)
    assert shift_for_escapes(shifts, 1) == pytest.approx(-0.05)
    assert shift_for_escapes(shifts, 0) == pytest.approx(-0.35)
    assert shift_for_escapes(shifts, 3) == 1
