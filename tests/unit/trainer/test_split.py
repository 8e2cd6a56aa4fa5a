"""Sides and folds: no group is torn, every class is on both sides, nothing is luck."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.boxes import IntArray
from models.errors import DatasetError
from tests.simulators.photos import write_coco
from trainer.data.checks.photos import near_duplicates_across_splits
from trainer.data.dataset import open_dataset
from trainer.data.splitting.near_duplicates import fingerprint, near_duplicates
from trainer.data.splitting.split_record import (
    SplitOptions,
    read_split_record,
    write_split_record,
)
from trainer.data.splitting.stratify import HELD_OUT, TRAIN, assign_subsets, folds


@dataclass(frozen=True)
class Shown:
    sha256: str
    labels: IntArray


def shown(number: int, *labels: int) -> Shown:
    name = hashlib.sha256(str(number).encode()).hexdigest()
    return Shown(name, np.array(labels, np.int64))


# each part: its class (4 = good) and how many photos there are of it
PARTS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), max_size=20)
SEEDS = st.integers(0, 99)


def photos_of(parts: list[tuple[int, int]]) -> tuple[list[Shown], list[int]]:
    groups = [group for group, (_, count) in enumerate(parts) for _ in range(count)]
    labels = [parts[group][0] for group in groups]
    rows = [shown(n, *([k] if k < 4 else [])) for n, k in enumerate(labels)]
    return rows, groups


@given(PARTS, SEEDS, st.integers(2, 6))
def test_each_photo_is_held_out_once_and_no_group_is_torn(
    parts: list[tuple[int, int]], seed: int, k: int
) -> None:
    rows, groups = photos_of(parts)
    group_of = {p.sha256: group for p, group in zip(rows, groups, strict=True)}
    found = folds(rows, k, seed, groups)
    held_out = [p.sha256 for fold in found for p in fold.held_out]
    assert sorted(held_out) == sorted(group_of)
    for fold in found:
        assert len(fold.train) + len(fold.held_out) == len(rows)
        trained = {group_of[p.sha256] for p in fold.train}
        assert not trained & {group_of[p.sha256] for p in fold.held_out}


@given(PARTS, SEEDS)
def test_class_of_two_groups_is_on_both_sides(
    parts: list[tuple[int, int]], seed: int
) -> None:
    rows, groups = photos_of(parts)
    side = assign_subsets(rows, (0.8, 0.2), seed, groups)
    for kind in {kind for kind, _ in parts}:
        own = [g for g, part in enumerate(parts) if part[0] == kind]
        found = {int(s) for s, g in zip(side, groups, strict=True) if g in own}
        assert len(found) == min(2, len(own))


@given(PARTS, SEEDS, st.randoms(use_true_random=False))
def test_order_of_the_photos_decides_nothing(
    parts: list[tuple[int, int]], seed: int, random: object
) -> None:
    rows, groups = photos_of(parts)
    pairs = list(zip(rows, groups, strict=True))
    random.shuffle(pairs)  # type: ignore[attr-defined]
    mixed = [photo for photo, _ in pairs], [group for _, group in pairs]
    assert folds(rows, 3, seed, groups) == folds(mixed[0], 3, seed, mixed[1])


@given(PARTS, PARTS, SEEDS)
def test_fixed_groups_stay_where_they_are(
    parts: list[tuple[int, int]], more: list[tuple[int, int]], seed: int
) -> None:
    rows, groups = photos_of(parts)
    before = assign_subsets(rows, (0.8, 0.2), seed, groups)
    fixed = {g: int(s) for g, s in zip(groups, before, strict=True)}
    rows, groups = photos_of(parts + more)
    after = assign_subsets(rows, (0.8, 0.2), seed, groups, fixed)
    assert after[: len(before)].tolist() == before.tolist()


def test_a_fifth_is_held_out() -> None:
    side = assign_subsets([shown(n, n % 3) for n in range(100)], (0.8, 0.2), 0)
    assert [int((side == s).sum()) for s in (TRAIN, HELD_OUT)] == [80, 20]


def test_shots_of_one_part_are_near_and_other_parts_are_not() -> None:
    rng = np.random.default_rng(0)
    jig = cv2.resize(rng.integers(0, 255, (9, 9, 3)).astype(np.uint8), (128, 128))
    shots, truth = [], []
    for part in range(10):
        surface = cv2.resize(rng.normal(0, 12, (8, 8, 3)), (128, 128))
        for lamp in (1.0, 0.9):
            shot = (jig + surface) * lamp + rng.normal(0, 3, jig.shape)
            shots.append(fingerprint(shot.clip(0, 255).astype(np.uint8)))
            truth.append(part)
    assert near_duplicates(shots).tolist() == truth


def test_photos_without_contrast_are_like_no_other() -> None:
    flat = [np.full((64, 64, 3), level, np.uint8) for level in (0, 9, 200)]
    found = near_duplicates([fingerprint(picture) for picture in flat])
    assert found.tolist() == [0, 1, 2]


def with_a_second_shot(root: Path, first: str, second: str) -> None:
    """Replace a photo by another shot of the part of the first."""
    picture = cv2.imread(str(root / "images" / first))
    cv2.imwrite(str(root / "images" / second), picture + np.uint8(1))


def test_shots_of_one_part_in_train_and_val_are_told(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d")
    assert not near_duplicates_across_splits(open_dataset(root))
    with_a_second_shot(root, "train-0.png", "val-0.png")
    [finding] = near_duplicates_across_splits(open_dataset(root))
    assert (finding.file.name, finding.place) == ("val-0.png", "val")
    assert "train-0.png in train" in finding.why


def test_pattern_keeps_a_lot_together_and_one_that_matches_nothing_is_refused(
    tmp_path: Path,
) -> None:
    root = write_coco(tmp_path / "d", {"train": 19})
    dataset = open_dataset(root, split=SplitOptions(pattern=r"train-(\d)"))
    trained, measured = (
        {photo.path.stem[6] for photo in side} for side in dataset.for_training()
    )
    assert trained
    assert measured
    assert not trained & measured
    with pytest.raises(DatasetError, match="no photo is named"):
        open_dataset(root, split=SplitOptions(pattern="lot(.)"))


def test_known_photos_keep_their_side_when_photos_are_added(tmp_path: Path) -> None:
    small = open_dataset(write_coco(tmp_path / "a", {"train": 10}))
    write_split_record(tmp_path, small.split_assignment)
    like = read_split_record(tmp_path)
    root = write_coco(tmp_path / "b", {"train": 40})
    for number in range(10):  # the same ten photos, and thirty new ones
        name = f"images/train-{number}.png"
        (root / name).write_bytes((tmp_path / "a" / name).read_bytes())
    grown = open_dataset(root, split=SplitOptions(seed=5, like=like, like_name="a"))
    for before, after in zip(small.for_training(), grown.for_training(), strict=True):
        assert {p.sha256 for p in before} <= {p.sha256 for p in after}
    assert len(grown.for_training()[1]) == 8
    other = write_coco(tmp_path / "c", seed=9)
    with pytest.raises(DatasetError, match="no photo of it was divided"):
        open_dataset(other, split=SplitOptions(like=like, like_name="a"))
