"""Factors for the odds of each class, from detections made by hand."""

from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.evaluation.calibration import fit_class_odds, with_odds

BOX = np.array([[10, 10, 30, 30]], np.float32)
BESIDE = np.array([[60, 60, 80, 80]], np.float32)
SURE, SOMETIMES = 0, 1  # a class that is right, and one that often is not


def photo(label: int | None) -> Photo:
    labels = np.array([] if label is None else [label], np.int64)
    return Photo(Path("x.png"), "0" * 64, 100, 100, BOX[: len(labels)], labels)


def one(label: int, score: float, *, right: bool) -> tuple[Detections, Photo]:
    """Return a photo with a defect, and one detection on it or beside it."""
    boxes = BOX if right else BESIDE
    scores, labels = np.array([score], np.float32), np.array([label], np.int64)
    return Detections(boxes, scores, labels), photo(label)


def rows(*counts: tuple[int, float, int, int]) -> list[tuple[Detections, Photo]]:
    """Return photos, from class, score, right and wrong detections."""
    made = []
    for label, score, right, wrong in counts:
        made += [one(label, score, right=True)] * right
        made += [one(label, score, right=False)] * wrong
    return made


def fitted(made: list[tuple[Detections, Photo]]) -> np.ndarray | None:
    return fit_class_odds([f for f, _ in made], [p for _, p in made], 2)


def test_class_that_is_often_wrong_gets_lower_odds() -> None:
    odds = fitted(rows((SURE, 0.9, 90, 10), (SOMETIMES, 0.9, 30, 70)))
    assert odds is not None
    assert odds.dtype == np.float32
    assert odds[SOMETIMES] < 0.6
    assert odds[SURE] > 1.2


def test_factors_approach_the_share_that_is_right() -> None:
    """The odds at a score become those of being right, in the limit."""
    odds = fitted(rows((SURE, 0.8, 9000, 1000), (SOMETIMES, 0.8, 5000, 5000)))
    assert odds is not None
    assert odds[SURE] / odds[SOMETIMES] == pytest.approx(9, rel=0.04)


def test_class_with_few_detections_stays_as_all_together() -> None:
    odds = fitted(rows((SURE, 0.9, 90, 10), (SOMETIMES, 0.9, 1, 1)))
    assert odds is not None
    assert odds[SOMETIMES] == pytest.approx(1, abs=0.1)


def test_classes_that_are_right_as_often_keep_their_scores() -> None:
    odds = fitted(rows((SURE, 0.7, 60, 40), (SOMETIMES, 0.7, 60, 40)))
    assert odds is not None
    assert odds == pytest.approx(np.ones(2), abs=1e-4)


def test_good_parts_have_no_part_in_it() -> None:
    made = rows((SURE, 0.9, 90, 10), (SOMETIMES, 0.9, 30, 70))
    alarm = (one(SURE, 0.99, right=False)[0], photo(None))
    assert np.array_equal(fitted([*made, *[alarm] * 100]), fitted(made))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "made",
    [
        [],
        rows((SURE, 0.9, 5, 0)),
        rows((SURE, 0.9, 0, 5)),
        rows((SURE, 0.05, 5, 5)),  # below every threshold
    ],
)
def test_nothing_is_fitted_where_there_is_nothing_to_compare(
    made: list[tuple[Detections, Photo]],
) -> None:
    assert fitted(made) is None


def test_one_class_needs_no_factor() -> None:
    made = rows((SURE, 0.9, 5, 5))
    assert fit_class_odds([f for f, _ in made], [p for _, p in made], 1) is None


def test_detections_are_best_first_with_their_own_odds() -> None:
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    scores = np.array([0.9, 0.8, 0.5], np.float32)
    labels = np.array([SOMETIMES, SURE, SOMETIMES], np.int64)
    changed = with_odds(
        Detections(boxes, scores, labels), np.array([1.0, 0.25], np.float32)
    )
    # 0.9 has odds of 9, and 9 / 4 is a score of 0.692; 0.5 becomes 0.2
    assert changed.scores == pytest.approx([0.8, 9 / 13, 0.2])
    assert changed.labels.tolist() == [SURE, SOMETIMES, SOMETIMES]
    assert changed.boxes.tolist() == boxes[[1, 0, 2]].tolist()
    assert changed.scores.dtype == np.float32
