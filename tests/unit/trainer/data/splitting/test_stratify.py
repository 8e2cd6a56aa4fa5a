"""Subsets and folds: groups stay together, classes are in both, the seed decides."""

import hashlib
from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.boxes import IntArray
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
def test_each_photo_is_held_out_once_and_groups_stay_together(
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
def test_class_of_two_groups_is_in_both_subsets(
    parts: list[tuple[int, int]], seed: int
) -> None:
    rows, groups = photos_of(parts)
    side = assign_subsets(rows, (0.8, 0.2), seed, groups)
    for kind in {kind for kind, _ in parts}:
        own = [g for g, part in enumerate(parts) if part[0] == kind]
        found = {int(s) for s, g in zip(side, groups, strict=True) if g in own}
        assert len(found) == min(2, len(own))


@given(PARTS, SEEDS, st.randoms(use_true_random=False))
def test_order_of_the_photos_has_no_effect(
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
