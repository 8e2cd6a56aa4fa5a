"""Divides photos into sides, whole groups at a time, every class on each side.

A group is what must not be torn: photos of one part, one lot, one burst. Its photos go
to one side together, because a detector that has seen a part knows it again, and the
measurement would flatter.

Sides are filled by iterative stratification: the rarest class first, each group to the
side that still wants most of it. The last groups of a class go to the sides that have
none of it yet. Everything is decided by the content of the photos and a seed, never by
their names or order.

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

HELD_OUT_SHARE = 0.2  # of the photos, where the dataset has no val split
TRAIN, HELD_OUT = 0, 1
FEWEST_FOLDS = 2


class Divisible(Protocol):
    """A photo of which is known what it shows."""

    @property
    def sha256(self) -> str:
        """Hash of the file."""

    @property
    def labels(self) -> IntArray:
        """``[G]`` index of the class of each box; empty for a good part."""


P = TypeVar("P", bound=Divisible)


@dataclass(frozen=True, slots=True)
class Fold(Generic[P]):
    """One of k ways to train on most photos and to measure on the others.

    Attributes:
        train: Photos to train on, by SHA-256.
        held_out: All others, by SHA-256.
    """

    train: tuple[P, ...]
    held_out: tuple[P, ...]


def folds(
    photos: Sequence[P], k: int, seed: int, groups: Sequence[int] | None = None
) -> tuple[Fold[P], ...]:
    """Return k folds; each photo is held out in exactly one of them.

    Args:
        photos: All there are.
        k: Number of folds, at least 2. Some hold nothing out where there are fewer
            groups than folds.
        seed: Of the division.
        groups: ``[N]`` number of each photo's group; None = each photo on its own.
            Photos with the same content are one group in any case.

    Raises:
        ValueError: Fewer than two folds, or not one group for each photo.
    """
    if k < FEWEST_FOLDS:
        message = f"expected at least {FEWEST_FOLDS} folds, got {k}"
        raise ValueError(message)
    side = sides(photos, [1 / k] * k, seed, groups)
    return tuple(
        Fold(
            ordered(photo for photo, s in zip(photos, side, strict=True) if s != fold),
            ordered(photo for photo, s in zip(photos, side, strict=True) if s == fold),
        )
        for fold in range(k)
    )


def ordered(photos: Iterable[P]) -> tuple[P, ...]:
    """Return photos by SHA-256, wherever they lie and whatever they are called.

    Args:
        photos: In any order.
    """
    return tuple(sorted(photos, key=lambda photo: photo.sha256))


def sides(
    photos: Sequence[Divisible],
    shares: Sequence[float],
    seed: int,
    groups: Sequence[int] | None = None,
    fixed: Mapping[int, int] | None = None,
) -> IntArray:
    """Return the side of each photo, ``[N]`` int64.

    Args:
        photos: All there are.
        shares: ``[S]`` part of the photos that each side is to get; together 1.
        seed: Of the division.
        groups: ``[N]`` number of each photo's group; None = each photo on its own.
        fixed: Group to side, for groups whose side is decided already.

    Raises:
        ValueError: Not one group for each photo.
    """
    numbers = list(range(len(photos))) if groups is None else list(groups)
    if len(numbers) != len(photos):
        message = f"{len(numbers)} groups for {len(photos)} photos"
        raise ValueError(message)
    names = [photo.sha256 for photo in photos]
    whole = _ranked(names, merged(numbers, names), seed)
    sides_of = fixed or {}
    decided = {
        int(group): sides_of[number]
        for group, number in zip(whole, numbers, strict=True)
        if number in sides_of
    }
    filling = _Filling(photos, whole, shares, decided)
    filling.fill()
    filling.balance(frozenset(decided))
    filling.repair(frozenset(decided))
    return filling.side_of[whole]


def merged(*keyings: Sequence[Hashable]) -> IntArray:
    """Return the finest groups that no keying tears, numbered by first appearance.

    Args:
        keyings: Each ``[N]`` keys; photos with an equal key belong together.

    Returns:
        ``[N]`` int64 from 0.

    >>> merged([1, 1, 2, 3], "abbc").tolist()
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
    """Return the groups numbered anew, shuffled by the seed and their content."""
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


class _Filling:
    """Sides being filled.

    A stratum is a class, or: any defect, none, any photo.
    """

    def __init__(
        self,
        photos: Sequence[Divisible],
        groups: IntArray,
        shares: Sequence[float],
        decided: Mapping[int, int],
    ) -> None:
        shown = _strata(photos)
        count = int(groups.max(initial=-1)) + 1
        self._photos = np.zeros((count, shown.shape[1]), np.int64)  # [G, T]
        np.add.at(self._photos, groups, shown)
        self._wanted = np.outer(shares, self._photos.sum(axis=0))  # [S, T]
        self._placed = np.zeros((len(shares), shown.shape[1]), np.int64)  # groups
        self.side_of = np.full(count, -1, np.int64)
        for group, side in decided.items():
            self._place(group, side)

    def fill(self) -> None:
        """Give every group a side: groups of the rarest stratum first, large first."""
        spread = (self._photos > 0).sum(axis=0)
        for stratum in np.argsort(spread, kind="stable").tolist():
            left = [
                group
                for group in range(len(self.side_of))
                if self.side_of[group] < 0 and self._photos[group, stratum]
            ]
            left.sort(key=lambda group: -int(self._photos[group, stratum]))
            for index, group in enumerate(left):
                self._place(group, self._neediest(stratum, len(left) - index))

    def _neediest(self, stratum: int, left: int) -> int:
        """Return the side that wants a stratum most, of which so many are left."""
        lacking = self._placed[:, stratum] == 0
        allowed = lacking if 0 < lacking.sum() >= left else np.ones_like(lacking)
        wishes = [
            (self._wanted[side, stratum], self._wanted[side, -1], -side)
            for side in np.flatnonzero(allowed).tolist()
        ]
        return -max(wishes)[2]

    def balance(self, decided: frozenset[int]) -> None:
        """Move groups from the fullest side to the emptiest while both gain by it."""
        free = np.array([g not in decided for g in range(len(self.side_of))], np.bool_)
        while True:
            to = int(self._wanted[:, -1].argmax())
            home = int(self._wanted[:, -1].argmin())
            gap = self._wanted[to, -1] - self._wanted[home, -1]
            size = self._photos[:, -1]
            fits = np.flatnonzero(free & (self.side_of == home) & (size < gap))
            if not len(fits):
                return
            after = np.abs(self._wanted[to] - self._photos[fits])
            after += np.abs(self._wanted[home] + self._photos[fits])  # [F, T]
            group = int(fits[after.sum(axis=1).argmin()])
            self._take(group)
            self._place(group, to)
            free[group] = False

    def repair(self, decided: frozenset[int]) -> None:
        """Move a group where all groups of a stratum came to the same side."""
        for stratum in np.flatnonzero(self._lonely()).tolist():
            movable = [
                group
                for group in np.flatnonzero(self._photos[:, stratum]).tolist()
                if group not in decided
            ]
            for group in sorted(movable, key=lambda g: int(self._photos[g, -1])):
                if self._lonely()[stratum]:
                    self._move_if_better(group)

    def _move_if_better(self, group: int) -> None:
        """Move a group to the neediest side where fewer strata are on one side."""
        before, home = self._lonely().sum(), int(self.side_of[group])
        for side in np.argsort(-self._wanted[:, -1], kind="stable").tolist():
            self._take(group)
            self._place(group, side)
            if self._lonely().sum() < before:
                return
        self._take(group)
        self._place(group, home)

    def _lonely(self) -> npt.NDArray[np.bool_]:
        """Return which strata of two groups or more are on one side only, ``[T]``."""
        on_sides = (self._placed > 0).sum(axis=0)
        lonely: npt.NDArray[np.bool_] = (on_sides == 1) & (self._placed.sum(axis=0) > 1)
        return lonely

    def _place(self, group: int, side: int) -> None:
        self.side_of[group] = side
        self._wanted[side] -= self._photos[group]
        self._placed[side] += self._photos[group] > 0

    def _take(self, group: int) -> None:
        side = int(self.side_of[group])
        self._wanted[side] += self._photos[group]
        self._placed[side] -= self._photos[group] > 0
        self.side_of[group] = -1


def _strata(photos: Sequence[Divisible]) -> npt.NDArray[np.int64]:
    """Return which strata each photo shows, ``[N, C + 3]``, 0 or 1."""
    labels = [photo.labels for photo in photos]
    classes = 1 + max((int(row.max(initial=-1)) for row in labels), default=-1)
    shown = np.zeros((len(labels), classes + 3), np.int64)
    for row, own in enumerate(labels):
        shown[row, own] = 1
        shown[row, classes + (len(own) == 0)] = 1
    shown[:, -1] = 1
    return shown
