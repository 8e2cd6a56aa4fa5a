"""Photos of one part in two splits are reported; files without a pair are not."""

from pathlib import Path

import cv2
import numpy as np

from tests.simulators.photos import write_coco
from trainer.data.checks.photos import (
    copies_of,
    labelled_alike,
    near_duplicates_across_splits,
)
from trainer.data.dataset import open_dataset


def with_a_second_shot(root: Path, first: str, second: str) -> None:
    """Replace a photo by another shot of the part of the first."""
    picture = cv2.imread(str(root / "images" / first))
    cv2.imwrite(str(root / "images" / second), picture + np.uint8(1))


def test_shots_of_one_part_in_train_and_val_are_reported(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    assert not near_duplicates_across_splits(open_dataset(root))
    with_a_second_shot(root, "train-0.png", "val-0.png")
    [finding] = near_duplicates_across_splits(open_dataset(root))
    assert (finding.file.name, finding.place) == ("val-0.png", "val")
    assert "train-0.png in train" in finding.why


def test_each_picture_is_its_own_copy_and_labelled_like_itself(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "d"))
    assert not list(copies_of(dataset))
    one, two, both = dataset.splits["train"][:3]
    assert labelled_alike(both, both)
    assert not labelled_alike(one, two)
    assert not labelled_alike(one, both)
