"""Divides photos into subsets, whole groups at a time, every class in each subset.

A group is what stays together: photos of one part, one lot, one burst. Its photos go to
one subset, because a detector recognizes a part that it was trained on, and the
measurement would be too good.

Subsets are filled by iterative stratification: the rarest class first, each group to
the subset that still needs most of it. The last groups of a class go to the subsets
that have none of it yet. Everything is decided by the content of the photos and a seed,
never by their names or order.

Source:
    Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data,
    ECML PKDD 2011, algorithm 1.
"""

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from models.boxes import IntArray
from models.counted import counted

HELD_OUT_SHARE = 0.2  # of the photos, where the dataset has no val split
TRAIN, HELD_OUT = 0, 1
FEWEST_FOLDS = 2


class SplittablePhoto(Protocol):
    """The properties of a photo that stratification uses."""

    @property
    def sha256(self) -> str:
        """Hash of the file."""

    @property
    def labels(self) -> IntArray:
        """``[G]`` index of the class of each box; empty for a good part."""


P = TypeVar("P", bound=SplittablePhoto)


@dataclass(frozen=True, slots=True)
class Fold(Generic[P]):
    """One of k divisions into photos to train on and photos to measure on.

    Both are sorted by SHA-256.
    """

    train: tuple[P, ...]
    held_out: tuple[P, ...]


def folds(
    photos: Sequence[P], k: int, seed: int, groups: Sequence[int] | None = None
) -> tuple[Fold[P], ...]:
    """Return k folds; each photo is held out in exactly one of them.

    Args:
        k: Number of folds, at least 2. Some hold nothing out where there are fewer
            groups than folds.
        seed: Decides between groups of equal need.
        groups: ``[N]`` number of each photo's group; None = each photo on its own.
            Photos with the same content are one group in any case.

    Raises:
        ValueError: Fewer than two folds, or not one group for each photo.
    """
    if k < FEWEST_FOLDS:
        message = f"expected at least {FEWEST_FOLDS} folds, got {k}"
        raise ValueError(message)
    subsets = assign_subsets(photos, [1 / k] * k, seed, groups)
    pairs = list(zip(photos, subsets.tolist(), strict=True))
    return tuple(
        Fold(
            sorted_by_hash(photo for photo, subset in pairs if subset != fold),
            sorted_by_hash(photo for photo, subset in pairs if subset == fold),
        )
        for fold in range(k)
    )


def sorted_by_hash(photos: Iterable[P]) -> tuple[P, ...]:
    """Return photos by SHA-256: an order that paths do not change."""
    return tuple(sorted(photos, key=lambda photo: photo.sha256))


def assign_subsets(
    photos: Sequence[SplittablePhoto],
    shares: Sequence[float],
    seed: int,
    groups: Sequence[int] | None = None,
    fixed: Mapping[int, int] | None = None,
) -> IntArray:
    """Return the subset of each photo, ``[N]`` int64.

    Args:
        shares: ``[S]`` share of the photos that each subset is to get; together 1.
        seed: Decides between groups of equal need.
        groups: ``[N]`` number of each photo's group; None = each photo on its own.
        fixed: Group to subset, for groups whose subset is decided already.

    Raises:
        ValueError: Not one group for each photo.
    """
    numbers = list(range(len(photos))) if groups is None else list(groups)
    if len(numbers) != len(photos):
        message = (
            f"{counted(len(numbers), 'group')} for {counted(len(photos), 'photo')}"
        )
        raise ValueError(message)
    names = [photo.sha256 for photo in photos]
    whole = _ranked(names, merge_groups(numbers, names), seed)
    subset_of = fixed or {}
    decided = {
        int(group): subset_of[number]
        for group, number in zip(whole, numbers, strict=True)
        if number in subset_of
    }
    stratification = _Stratification(photos, whole, shares, decided)
    stratification.fill()
    stratification.balance(frozenset(decided))
    stratification.repair(frozenset(decided))
    return stratification.subset_of[whole]


def merge_groups(*keyings: Sequence[Hashable]) -> IntArray:
    """Return the finest groups that keep equal keys together, ``[N]`` int64 from 0.

    They are numbered by first appearance.

    Args:
        keyings: Each ``[N]`` keys; photos with an equal key in any of them belong
            together.

    >>> merge_groups([1, 1, 2, 3], "abbc").tolist()
    [0, 0, 0, 1]
    """
    parent = list(range(len(keyings[0])))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for keys in keyings:
        first: dict[Hashable, int] = {}
        for node, key in enumerate(keys):
            parent[root(node)] = root(first.setdefault(key, node))
    numbers: dict[int, int] = {}
    found = [
        numbers.setdefault(root(node), len(numbers)) for node in range(len(parent))
    ]
    return np.array(found, np.int64)


def _ranked(names: Sequence[str], groups: IntArray, seed: int) -> IntArray:
    """Return the groups renumbered: shuffled by the seed and their content."""
    first: dict[int, str] = {}
    for group, name in zip(groups.tolist(), names, strict=True):
        first[group] = min(name, first.get(group, name))
    order = sorted(
        first, key=lambda g: hashlib.sha256(f"{seed}:{first[g]}".encode()).digest()
    )
    rank = np.zeros(len(order), np.int64)
    rank[order] = np.arange(len(order))
    result: IntArray = rank[groups]
    return result


class _Stratification:
    """Subsets while they are filled.

    A stratum is a class, or: any defect, no defect, any photo (the last one).
    """

    def __init__(
        self,
        photos: Sequence[SplittablePhoto],
        groups: IntArray,
        shares: Sequence[float],
        decided: Mapping[int, int],
    ) -> None:
        shown = _strata(photos)
        count = int(groups.max(initial=-1)) + 1
        self._photos = np.zeros((count, shown.shape[1]), np.int64)  # [G, T]
        np.add.at(self._photos, groups, shown)
        self._needed = np.outer(shares, self._photos.sum(axis=0))  # [S, T] photos
        self._groups = np.zeros((len(shares), shown.shape[1]), np.int64)  # [S, T]
        self.subset_of = np.full(count, -1, np.int64)  # [G], -1 = not assigned
        for group, subset in decided.items():
            self._add(group, subset)

    def fill(self) -> None:
        """Assign every group: those of the rarest stratum first, large ones first."""
        spread = (self._photos > 0).sum(axis=0)
        for stratum in np.argsort(spread, kind="stable").tolist():
            left = [
                group
                for group in range(len(self.subset_of))
                if self.subset_of[group] < 0 and self._photos[group, stratum]
            ]
            left.sort(key=lambda group: -int(self._photos[group, stratum]))
            for index, group in enumerate(left):
                self._add(group, self._neediest(stratum, len(left) - index))

    def _neediest(self, stratum: int, left: int) -> int:
        """Return the subset that needs a stratum most, with so many groups left."""
        lacking = self._groups[:, stratum] == 0
        # With as few groups left as subsets lack the stratum, each gets one of them.
        allowed = lacking if 0 < lacking.sum() >= left else np.ones_like(lacking)
        needs = [
            (self._needed[subset, stratum], self._needed[subset, -1], -subset)
            for subset in np.flatnonzero(allowed).tolist()
        ]
        return -max(needs)[2]

    def balance(self, decided: frozenset[int]) -> None:
        """Move groups from the fullest subset to the emptiest while both gain by it."""
        count = len(self.subset_of)
        free = np.array([group not in decided for group in range(count)], np.bool_)
        while True:
            to = int(self._needed[:, -1].argmax())
            home = int(self._needed[:, -1].argmin())
            gap = self._needed[to, -1] - self._needed[home, -1]
            size = self._photos[:, -1]
            # A group of the gap's size or more would only swap the two.
            fits = np.flatnonzero(free & (self.subset_of == home) & (size < gap))
            if not len(fits):
                return
            after = np.abs(self._needed[to] - self._photos[fits])
            after += np.abs(self._needed[home] + self._photos[fits])  # [F, T]
            group = int(fits[after.sum(axis=1).argmin()])
            self._remove(group)
            self._add(group, to)
            free[group] = False  # moved once: the loop comes to an end

    def repair(self, decided: frozenset[int]) -> None:
        """Move a group where all groups of a stratum are in the same subset."""
        for stratum in np.flatnonzero(self._one_sided()).tolist():
            movable = [
                group
                for group in np.flatnonzero(self._photos[:, stratum]).tolist()
                if group not in decided
            ]
            for group in sorted(movable, key=lambda g: int(self._photos[g, -1])):
                if self._one_sided()[stratum]:
                    self._move_if_better(group)

    def _move_if_better(self, group: int) -> None:
        """Move a group to the neediest subset that leaves fewer strata one-sided."""
        before, home = self._one_sided().sum(), int(self.subset_of[group])
        for subset in np.argsort(-self._needed[:, -1], kind="stable").tolist():
            self._remove(group)
            self._add(group, subset)
            if self._one_sided().sum() < before:
                return
        self._remove(group)
        self._add(group, home)

    def _one_sided(self) -> npt.NDArray[np.bool_]:
        """Return which strata of two groups or more are in one subset only, ``[T]``."""
        subsets = (self._groups > 0).sum(axis=0)
        found: npt.NDArray[np.bool_] = (subsets == 1) & (self._groups.sum(axis=0) > 1)
        return found

    def _add(self, group: int, subset: int) -> None:
        self.subset_of[group] = subset
        self._needed[subset] -= self._photos[group]
        self._groups[subset] += self._photos[group] > 0

    def _remove(self, group: int) -> None:
        subset = int(self.subset_of[group])
        self._needed[subset] += self._photos[group]
        self._groups[subset] -= self._photos[group] > 0
        self.subset_of[group] = -1


def _strata(photos: Sequence[SplittablePhoto]) -> npt.NDArray[np.int64]:
    """Return which strata each photo shows, ``[N, C + 3]``, 0 or 1."""
    labels = [photo.labels for photo in photos]
    classes = 1 + max((int(row.max(initial=-1)) for row in labels), default=-1)
    shown = np.zeros((len(labels), classes + 3), np.int64)
    for row, own in enumerate(labels):
        shown[row, own] = 1
        shown[row, classes + (len(own) == 0)] = 1
    shown[:, -1] = 1
    return shown
