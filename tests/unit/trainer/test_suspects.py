"""Labels spoilt on purpose, and a detector that sees what is really there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.boxes import iou
from models.detections import Detections, no_detections
from trainer.data.dataset import Photo
from trainer.label_errors.issues import (
    MORE_LIKELY_WRONG,
    LabelIssue,
    LabelIssueKind,
    find_suspects,
    likely_wrong,
)

SIDE_PX, BOX_PX, CLASSES = 400, 40, 3


def make_photo(number: int, rng: np.random.Generator) -> Photo:
    """Three defects on a grid, so that none lies near another."""
    cells = rng.permutation(16)[:3]
    corners = np.stack((cells % 4, cells // 4), axis=1) * 100 + 20.0
    boxes = np.concatenate((corners, corners + BOX_PX), axis=1).astype(np.float32)
    labels = rng.integers(0, CLASSES, 3)
    return Photo(
        Path(f"{number}.png"), f"{number:064}", SIDE_PX, SIDE_PX, boxes, labels
    )


def see(photo: Photo, rng: np.random.Generator) -> Detections:
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
    return photos, [see(photo, rng) for photo in photos]


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
    """A cell of the grid where nothing is labelled and nothing is seen."""
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
    """Return the suspects of a kind, the surest first."""
    return [s for s in find_suspects(photos, found, CLASSES) if s.kind is kind]


def all_seen(photo: Photo, seen: Detections) -> bool:
    """Whether the detector has found all of the photo's defects."""
    surely = seen.boxes[seen.scores > 0.55]
    return bool((iou(photo.boxes, surely).max(axis=1, initial=0) > 0.6).all())


def test_clean_labels_give_few_suspects(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    suspects = find_suspects(*clean, CLASSES)
    assert likely_wrong(suspects) == 0  # 2 % were not seen: that proves nothing
    assert len(suspects) <= 12


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
    place = next(i for i in range(120) if all_seen(photos[i], found[i]))
    photos[place] = spoil(photos[place])
    suspects = find_suspects(photos, found, CLASSES)
    assert (suspects[0].kind, suspects[0].photo) == (kind, place)
    assert likely_wrong(suspects) == 1


def test_missing_box_is_found(clean: tuple[list[Photo], list[Detections]]) -> None:
    photos, found = list(clean[0]), clean[1]
    spoilt = [i for i in range(120) if all_seen(photos[i], found[i])][:8]
    truth = {i: photos[i].boxes[1] for i in spoilt}
    for i in spoilt:
        photos[i] = without(photos[i], 1)
    suspects = listed(photos, found, LabelIssueKind.MISSING)[: len(spoilt)]
    assert {s.photo for s in suspects} == set(spoilt)
    for suspect in suspects:
        assert suspect.labelled is None
        assert suspect.seen is not None
        seen = found[suspect.photo].boxes[suspect.seen]
        assert iou(seen[None], truth[suspect.photo][None])[0, 0] > 0.7


def test_defect_on_a_photo_of_a_good_part_is_a_missing_box(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    photos, found = list(clean[0]), clean[1]
    while photos[5].labels.size:
        photos[5] = without(photos[5], 0)
    first = find_suspects(photos, found, CLASSES)[0]
    assert (first.kind, first.photo) == (LabelIssueKind.MISSING, 5)


def test_wrong_class_is_found_with_the_class_that_is_seen(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    photos, found = list(clean[0]), clean[1]
    spoilt = [i for i in range(120) if all_seen(photos[i], found[i])][:8]
    truth = {i: photos[i].labels[2] for i in spoilt}
    for i in spoilt:
        photos[i] = relabelled(photos[i], 2)
    suspects = listed(photos, found, LabelIssueKind.WRONG_CLASS)[: len(spoilt)]
    assert {(s.photo, s.labelled) for s in suspects} == {(i, 2) for i in spoilt}
    for suspect in suspects:
        assert found[suspect.photo].labels[suspect.seen] == truth[suspect.photo]


@pytest.mark.parametrize("push_px", [10, 18])
def test_loose_box_is_found_where_the_class_is_tight_otherwise(
    clean: tuple[list[Photo], list[Detections]], push_px: float
) -> None:
    photos, found = list(clean[0]), clean[1]
    spoilt = [i for i in range(120) if all_seen(photos[i], found[i])][:8]
    for i in spoilt:
        photos[i] = moved(photos[i], 0, push_px)
    suspects = listed(photos, found, LabelIssueKind.LOOSE)[: len(spoilt)]
    assert {(s.photo, s.labelled) for s in suspects} == {(i, 0) for i in spoilt}


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
    assert all(suspect.sure < MORE_LIKELY_WRONG for suspect in loose)


def test_spurious_label_is_found(clean: tuple[list[Photo], list[Detections]]) -> None:
    photos, found = list(clean[0]), list(clean[1])
    spoilt = list(range(0, 40, 10))
    for i in spoilt:
        photos[i] = added(photos[i], empty_corner(photos[i], found[i]), 0)
    suspects = find_suspects(photos, found, CLASSES)
    spurious = [s for s in suspects if s.kind is LabelIssueKind.SPURIOUS]
    assert {(i, 3) for i in spoilt} <= {(s.photo, s.labelled) for s in spurious}
    assert all(s.seen is None for s in spurious)


def test_label_that_is_not_seen_is_trusted_where_the_class_is_often_missed(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    photos, rng = clean[0], np.random.default_rng(2)
    blind = []
    for seen in clean[1]:
        kept = (seen.labels != 0) | (rng.uniform(size=len(seen)) < 0.4)
        blind.append(seen.take(kept))
    spurious = listed(photos, blind, LabelIssueKind.SPURIOUS)
    mine = [s for s in spurious if photos[s.photo].labels[s.labelled] == 0]
    assert not mine  # two of three are not seen


def test_label_drawn_twice_is_found_without_any_detection() -> None:
    photo = make_photo(0, np.random.default_rng(0))
    x1, y1 = (int(value) for value in photo.boxes[1, :2])
    twice = added(photo, (x1 + 1, y1), int(photo.labels[1]))
    duplicates = listed([twice], [no_detections()], LabelIssueKind.DUPLICATE)
    assert [(s.photo, s.labelled) for s in duplicates] == [(0, 3)]
    other = added(photo, (x1 + 1, y1), int(photo.labels[1] + 1) % CLASSES)
    assert not listed([other], [no_detections()], LabelIssueKind.DUPLICATE)


def test_each_label_and_each_detection_is_named_once(
    clean: tuple[list[Photo], list[Detections]],
) -> None:
    photos = [moved(relabelled(p, 0), 1, 15) for p in clean[0]]
    suspects = find_suspects(photos, clean[1], CLASSES)
    for what in ("labelled", "seen"):
        named = [(s.photo, getattr(s, what)) for s in suspects]
        named = [one for one in named if one[1] is not None]
        assert len(named) == len(set(named))
    assert [s.sure for s in suspects] == sorted(
        (s.sure for s in suspects), reverse=True
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
    suspects = find_suspects(photos, found, CLASSES)
    top = suspects[: len(planted)]
    right = sum(s.photo in planted for s in top)
    assert right >= 0.7 * len(planted)
    assert len({s.photo for s in suspects} & planted) >= 0.85 * len(planted)


def test_no_photos_give_no_suspects() -> None:
    assert find_suspects([], [], CLASSES) == ()


def test_photos_without_any_label_or_detection_give_no_suspects() -> None:
    photo = make_photo(0, np.random.default_rng(0))
    good = without(without(without(photo, 0), 0), 0)
    assert find_suspects([good, good], [no_detections()] * 2, CLASSES) == ()
