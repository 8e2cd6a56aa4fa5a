"""Whether there are enough good photos for the class unknown."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.simulators.photos import write_coco, write_good
from trainer.data.checks.check import check_dataset
from trainer.data.checks.good_parts import good_parts
from trainer.data.dataset import open_dataset


@pytest.mark.parametrize(
    ("good", "missing", "text"),
    [
        (40, 0, "20 photos of good parts to train on, enough: train --unknown learns"),
        (38, 1, "19 photos of good parts to train on; 1 more is needed"),
        (10, 15, "5 photos of good parts to train on; 15 more are needed"),
    ],
)
def test_photos_beside_named_defects_are_those_to_train_on(
    tmp_path: Path, good: int, missing: int, text: str
) -> None:
    found = good_parts(open_dataset(write_coco(tmp_path / "d", good=good)))
    assert found is not None
    assert found.missing == missing
    assert text in str(found)


@pytest.mark.parametrize(("good", "missing"), [(30, 0), (25, 5)])
def test_good_photos_alone_count_all(tmp_path: Path, good: int, missing: int) -> None:
    report = check_dataset(write_good(tmp_path / "d", good))
    found = good_parts(report.dataset)
    assert found is not None
    assert f"{good} photos of good parts alone" in str(found)
    expected = {"good_photos": good, "needed": 30, "missing": missing}
    expected |= {"aligned": found.aligned}
    assert report.as_json()["unknown"] == found.as_json() == expected


def test_dataset_without_a_good_photo_says_nothing(tmp_path: Path) -> None:
    report = check_dataset(write_coco(tmp_path / "d"))
    assert good_parts(report.dataset) is None
    assert report.as_json()["unknown"] is None


def test_dataset_that_cannot_be_trained_on_says_nothing(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", {"train": 0, "val": 2}, good=4)
    assert good_parts(open_dataset(root)) is None


@pytest.mark.parametrize(
    ("moves", "share", "text"),
    [
        (False, pytest.approx(1, abs=0.1), "lie alike in all photos"),
        (True, pytest.approx(0.1, abs=0.2), "lie differently from photo to photo"),
    ],
)
def test_how_the_parts_lie_is_stated(
    tmp_path: Path, moves: bool, share: object, text: str
) -> None:
    rng, root = np.random.default_rng(0), tmp_path / "d"
    (root / "good").mkdir(parents=True)
    for number in range(30):
        picture = rng.normal(60 + number, 2, (96, 96, 3)).clip(0, 255)
        x, y = rng.integers(0, 72, 2).tolist() if moves else (30, 40)
        picture[y : y + 24, x : x + 24] += 120
        cv2.imwrite(str(root / f"good/{number:02}.png"), picture.astype(np.uint8))
    found = good_parts(open_dataset(root))
    assert found is not None
    assert found.aligned == share
    assert text in str(found)
