"""Good parts that alone decide the threshold are named, with what they cost."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections
from models.manifest import Promise, PromiseBasis, Thresholds
from trainer.data.dataset import Photo
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.evaluation.thresholds.deciding import (
    MOST_PARTS,
    DecidingPhotos,
    deciding_photos,
)
from trainer.evaluation.thresholds.parts import NO_ORIGINS, PhotoOrigins

LABELS = ("chip", "crack")
DEFECTS = np.linspace(0.5, 0.9, 41)  # the score on each
BOX = np.array([[10, 10, 40, 40]], np.float32)


def shown(number: int, *, score: float, is_good: bool) -> tuple[Detections, Photo]:
    """Return a photo with one detection, on its labelled box or on a good part."""
    label = np.zeros(1, np.int64)
    boxes, labels = (BOX[:0], label[:0]) if is_good else (BOX, label)
    name = "good" if is_good else "images"
    photo = Photo(Path(f"{name}/{number}.png"), f"{number:064x}", 80, 80, boxes, labels)
    return Detections(BOX, np.array([score], np.float32), label), photo


def scored(good: Sequence[float]) -> tuple[list[Detections], list[Photo]]:
    rows = [shown(n, score=s, is_good=False) for n, s in enumerate(DEFECTS)]
    rows += [shown(100 + n, score=s, is_good=True) for n, s in enumerate(good)]
    return [found for found, _ in rows], [photo for _, photo in rows]


def usual(count: int) -> list[float]:
    return np.linspace(0.1, 0.4, count).tolist()


def chosen(
    good: Sequence[float], origins: PhotoOrigins = NO_ORIGINS
) -> DecidingPhotos | None:
    found, photos = scored(good)
    thresholds = choose_thresholds(found, photos, LABELS, "val", origins=origins)
    return deciding_photos(found, photos, thresholds, origins)


def test_one_part_far_above_the_others_is_named_with_its_cost() -> None:
    deciding = chosen([*usual(50), 0.8])
    assert deciding is not None
    ((photo, found),) = deciding.photos
    assert photo.path.name == "150.png"
    assert found.scores[0] == np.float32(0.8)
    assert deciding.recall == pytest.approx(10 / 41)
    assert deciding.recall_without == 1
    assert deciding.threshold_without <= DEFECTS[0]
    assert deciding.threshold > found.scores[0]


def test_parts_that_decide_together_are_all_named_the_highest_first() -> None:
    deciding = chosen([0.7, *usual(50), 0.8])
    assert deciding is not None
    names = [photo.path.name for photo, _ in deciding.photos]
    # without the higher one alone the other decides, and little is gained
    assert deciding.parts == len(names)
    assert names[0] == "151.png"


def test_parts_like_the_others_are_not_named() -> None:
    assert chosen(usual(60)) is None
    assert chosen(np.linspace(0.1, 0.8, 400).tolist()) is None


def test_many_high_parts_are_no_oversight() -> None:
    assert chosen([*usual(50), *[0.85] * (MOST_PARTS + 1)]) is None


def test_frames_of_one_part_are_left_out_together() -> None:
    good = [*usual(50), 0.8, 0.79]
    _, photos = scored(good)
    scenes = {photo.sha256: number for number, photo in enumerate(photos)}
    scenes[photos[-1].sha256] = scenes[photos[-2].sha256]
    deciding = chosen(good, PhotoOrigins(scenes, {}))
    assert deciding is not None
    assert deciding.parts == 1
    assert [photo.path.name for photo, _ in deciding.photos] == ["150.png", "151.png"]


def test_without_a_promise_of_this_detector_nothing_decides() -> None:
    found, photos = scored([*usual(50), 0.8])
    thresholds = choose_thresholds(found, photos, LABELS, "val")
    promise = Promise(share=0.02, parts=51, basis=PromiseBasis.FOLDS)
    of_folds = thresholds.model_copy(update={"promise": promise})
    assert deciding_photos(found, photos, of_folds, NO_ORIGINS) is None
    few = scored([0.1, 0.8])
    best_f1: Thresholds = choose_thresholds(*few, LABELS, "val")
    assert deciding_photos(*few, best_f1, NO_ORIGINS) is None
