"""Labels spoilt on purpose, and a detector that finds what is really there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.boxes import iou
from models.detections import Detections, no_detections
from trainer.data.dataset import Photo
from trainer.label_errors.issues import (
    LIKELY_WRONG,
    LabelIssue,
    LabelIssueKind,
    count_likely_wrong,
    find_label_issues,
)

SIDE_PX, BOX_PX, CLASSES = 400, 40, 3


def make_photo(number: int, rng: np.random.Generator) -> Photo:
    """Three defects on a grid, none of them near another."""
    cells = rng.permutation(16)[:3]
    corners = np.stack((cells % 4, cells // 4), axis=1) * 100 + 20.0
    boxes = np.concatenate((corners, corners + BOX_PX), axis=1).astype(np.float32)
    labels = rng.integers(0, CLASSES, 3)
    return Photo(
        Path(f"{number}.png"), f"{number:064}", SIDE_PX, SIDE_PX, boxes, labels
    )


def detect(photo: Photo, rng: np.random.Generator) -> Detections:
    """A good detector: jitters, misses one of fifty, and has weak false alarms."""
    kept = rng.uniform(size=len(photo.labels)) > 0.02
    boxes = photo.boxes[kept] + rng.normal(0, 1, (int(kept.sum()), 4))
    scores = rng.uniform(0.6, 0.99, len(boxes))
    noise = rng.uniform(0, SIDE_PX - BOX_PX, (6, 2))
    boxes = np.concatenate((boxes, np.concatenate((noise, noise + BOX_PX), axis=1)))
    scores = np.concatenate((scores, rng.uniform(0.01, 0.5, 6)))
    labels = np.concatenate((photo.labels[kept], rng.integers(0, CLASSES, 6)))
    order = np.argsort(-scores)
    return Detections(
        boxes[order].astype(np.float32),
        scores[order].astype(np.float32),
        labels[order].astype(np.int64),
    )


@pytest.fixture(scope="module")
def clean() -> tuple[list[Photo], list[Detections]]:
    rng = np.random.default_rng(0)
    photos = [make_photo(number, rng) for number in range(120)]
    return photos, [detect(photo, rng) for photo in photos]


def without(photo: Photo, box: int) -> Photo:
    return replace(
        photo, boxes=np.delete(photo.boxes, box, 0), labels=np.delete(photo.labels, box)
    )


def relabelled(photo: Photo, box: int) -> Photo:
    labels = photo.labels.copy()
    labels[box] = (labels[box] + 1) % CLASSES
    return replace(photo, labels=labels)


def moved(photo: Photo, box: int, push_px: float) -> Photo:
    boxes = photo.boxes.copy()
    boxes[box] += push_px
    return replace(photo, boxes=boxes)


def added(photo: Photo, corner: tuple[int, int], label: int) -> Photo:
    x, y = corner
    box = np.array([[x, y, x + BOX_PX, y + BOX_PX]], np.float32)
    return replace(
        photo,
        boxes=np.concatenate((photo.boxes, box)),
        labels=np.append(photo.labels, label),
    )


def empty_corner(photo: Photo, seen: Detections) -> tuple[int, int]:
    """A cell of the grid where nothing is labelled and nothing is detected."""
    every = np.concatenate((photo.boxes, seen.boxes))
    for cell in range(16):
        x, y = cell % 4 * 100 + 20, cell // 4 * 100 + 20
        box = np.array([[x, y, x + BOX_PX, y + BOX_PX]], np.float32)
        if iou(box, every).max() == 0:
            return x, y
    raise AssertionError("every cell is taken")


def listed(
    photos: list[Photo], found: list[Detections], kind: LabelIssueKind
) -> list[LabelIssue]:
    """Return the issues of a kind, highest confidence first."""
    return [s for s in find_label_issues(photos, found, CLASSES) if s.kind is kind]


def all_detected(photo: Photo, seen: Detections) -> bool:
    """Whether the detector has found all of the photo's defects."""
    likely = seen.boxes[seen.scores > 0.55]
    return bool((iou(photo.boxes, likely).max(axis=1, initial=0) > 0.6).all())


def test_clean_labels_give_few_issues(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    issues = find_label_issues(*clean, CLASSES)
    assert count_likely_wrong(issues) == 0  # 2 % were not detected: that proves nothing
    assert len(issues) <= 12


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda photo: without(photo, 0), LabelIssueKind.MISSING),
        (lambda photo: relabelled(photo, 0), LabelIssueKind.WRONG_CLASS),
        (lambda photo: moved(photo, 0, 14), LabelIssueKind.LOOSE),
    ],
)
def test_single_fault_is_more_likely_wrong_than_right(
    clean: tuple[list[Photo], list[Detections]],
    spoil: Callable[[Photo], Photo],
    kind: LabelIssueKind,
) -> None:
    photos, found = list(clean[0]), clean[1]
    place = next(i for i in range(120) if all_detected(photos[i], found[i]))
    photos[place] = spoil(photos[place])
    issues = find_label_issues(photos, found, CLASSES)
    assert (issues[0].kind, issues[0].photo) == (kind, place)
    assert count_likely_wrong(issues) == 1


def test_missing_box_is_found(clean: tuple[list[Photo], list[Detections]]) -> None:
    photos, found = list(clean[0]), clean[1]
    spoilt = [i for i in range(120) if all_detected(photos[i], found[i])][:8]
    truth = {i: photos[i].boxes[1] for i in spoilt}
    for i in spoilt:
        photos[i] = without(photos[i], 1)
    issues = listed(photos, found, LabelIssueKind.MISSING)[: len(spoilt)]
    assert {s.photo for s in issues} == set(spoilt)
    for issue in issues:
        assert issue.label is None
        assert issue.detection is not None
        box = found[issue.photo].boxes[issue.detection]
        assert iou(box[None], truth[issue.photo][None])[0, 0] > 0.7


def test_defect_on_a_photo_of_a_good_part_is_a_missing_box(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    photos, found = list(clean[0]), clean[1]
    while photos[5].labels.size:
        photos[5] = without(photos[5], 0)
    first = find_label_issues(photos, found, CLASSES)[0]
    assert (first.kind, first.photo) == (LabelIssueKind.MISSING, 5)


def test_wrong_class_is_found_with_the_detected_class(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    photos, found = list(clean[0]), clean[1]
    spoilt = [i for i in range(120) if all_detected(photos[i], found[i])][:8]
    truth = {i: photos[i].labels[2] for i in spoilt}
    for i in spoilt:
        photos[i] = relabelled(photos[i], 2)
    issues = listed(photos, found, LabelIssueKind.WRONG_CLASS)[: len(spoilt)]
    assert {(s.photo, s.label) for s in issues} == {(i, 2) for i in spoilt}
    for issue in issues:
        assert found[issue.photo].labels[issue.detection] == truth[issue.photo]


@pytest.mark.parametrize("push_px", [10, 18])
def test_loose_box_is_found_where_the_class_is_tight_otherwise(
    clean: tuple[list[Photo], list[Detections]], push_px: float
) -> None:
    photos, found = list(clean[0]), clean[1]
    spoilt = [i for i in range(120) if all_detected(photos[i], found[i])][:8]
    for i in spoilt:
        photos[i] = moved(photos[i], 0, push_px)
    issues = listed(photos, found, LabelIssueKind.LOOSE)[: len(spoilt)]
    assert {(s.photo, s.label) for s in issues} == {(i, 0) for i in spoilt}


def test_no_box_is_loose_where_all_of_the_class_are(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    rng = np.random.default_rng(1)
    photos = []
    for photo in clean[0]:
        loose = photo
        for box in range(3):
            loose = moved(loose, box, float(rng.uniform(2, 14)))
        photos.append(loose)
    loose = listed(photos, clean[1], LabelIssueKind.LOOSE)
    assert all(issue.confidence < LIKELY_WRONG for issue in loose)


def test_spurious_label_is_found(clean: tuple[list[Photo], list[Detections]]) -> None:
    photos, found = list(clean[0]), list(clean[1])
    spoilt = list(range(0, 40, 10))
    for i in spoilt:
        photos[i] = added(photos[i], empty_corner(photos[i], found[i]), 0)
    issues = find_label_issues(photos, found, CLASSES)
    spurious = [s for s in issues if s.kind is LabelIssueKind.SPURIOUS]
    assert {(i, 3) for i in spoilt} <= {(s.photo, s.label) for s in spurious}
    assert all(s.detection is None for s in spurious)


def test_undetected_label_is_trusted_where_the_class_is_often_missed(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    photos, rng = clean[0], np.random.default_rng(2)
    blind = []
    for seen in clean[1]:
        kept = (seen.labels != 0) | (rng.uniform(size=len(seen)) < 0.4)
        blind.append(seen.select(kept))
    spurious = listed(photos, blind, LabelIssueKind.SPURIOUS)
    mine = [s for s in spurious if photos[s.photo].labels[s.label] == 0]
    assert not mine  # two of three are not detected


def test_label_drawn_twice_is_found_without_any_detection() -> None:
    photo = make_photo(0, np.random.default_rng(0))
    x1, y1 = (int(value) for value in photo.boxes[1, :2])
    twice = added(photo, (x1 + 1, y1), int(photo.labels[1]))
    duplicates = listed([twice], [no_detections()], LabelIssueKind.DUPLICATE)
    assert [(s.photo, s.label) for s in duplicates] == [(0, 3)]
    other = added(photo, (x1 + 1, y1), int(photo.labels[1] + 1) % CLASSES)
    assert not listed([other], [no_detections()], LabelIssueKind.DUPLICATE)


def test_each_label_and_each_detection_is_named_once(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    photos = [moved(relabelled(p, 0), 1, 15) for p in clean[0]]
    issues = find_label_issues(photos, clean[1], CLASSES)
    for what in ("label", "detection"):
        named = [(s.photo, getattr(s, what)) for s in issues]
        named = [one for one in named if one[1] is not None]
        assert len(named) == len(set(named))
    assert [s.confidence for s in issues] == sorted(
        (s.confidence for s in issues), reverse=True
    )


def test_faults_come_before_the_detectors_own_mistakes(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    """5 % of the labels are spoilt in three ways: the list names most of them first."""
    photos, found = list(clean[0]), clean[1]
    planted: set[int] = set()
    for turn, i in enumerate(range(0, 90, 5)):
        spoil = (
            lambda photo: without(photo, 0),
            lambda photo: relabelled(photo, 1),
            lambda photo: moved(photo, 2, 14),
        )[turn % 3]
        photos[i] = spoil(photos[i])
        planted.add(i)
    issues = find_label_issues(photos, found, CLASSES)
    top = issues[: len(planted)]
    right = sum(s.photo in planted for s in top)
    assert right >= 0.7 * len(planted)
    assert len({s.photo for s in issues} & planted) >= 0.85 * len(planted)


def test_no_photos_give_no_issues() -> None:
    assert find_label_issues([], [], CLASSES) == ()


def test_photos_without_any_label_or_detection_give_no_issues() -> None:
    photo = make_photo(0, np.random.default_rng(0))
    good = without(without(without(photo, 0), 0), 0)
    assert find_label_issues([good, good], [no_detections()] * 2, CLASSES) == ()
