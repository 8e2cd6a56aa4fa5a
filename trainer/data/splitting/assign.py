"""Puts photos on their sides: own splits, what is held out, good parts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from models.errors import DatasetError
from trainer.data.splitting.grouping import Groupable, below, group_photos
from trainer.data.splitting.split_record import (
    SIDES,
    PhotoPlace,
    SplitAssignment,
    SplitOptions,
    SplitRecord,
    SplitRule,
)
from trainer.data.splitting.stratify import (
    HELD_OUT,
    HELD_OUT_SHARE,
    TRAIN,
    ordered,
    sides,
)

G = TypeVar("G", bound=Groupable)
GroupNumbers = Mapping[str, int]  # SHA-256 to a group, or to a side


def arrange(
    root: Path,
    splits: Mapping[str, Sequence[G]],
    good: Sequence[G],
    wishes: SplitOptions,
) -> tuple[dict[str, tuple[G, ...]], SplitAssignment]:
    """Return the splits with the good parts in them, and the division in force.

    Args:
        root: The dataset's folder.
        splits: As the dataset brings them, without ``good/``.
        good: Photos of ``good/``.
        wishes: What the user asked for.

    Returns:
        Splits, where those of the dataset are kept unless its val shows no defect; and
        which photos are trained on.

    Raises:
        DatasetError: The pattern matches nothing, or no photo is in the record.
    """
    everything = [photo for photos in splits.values() for photo in photos]
    everything += good
    groups = group_photos(everything, root, wishes.pattern)
    names = [photo.sha256 for photo in everything]
    chosen, near, same = (
        dict(zip(names, numbers.tolist(), strict=True))
        for numbers in (groups.chosen, groups.near, groups.same)
    )
    known = _known(root, names, wishes)
    train, val = splits.get("train"), splits.get("val", ())
    labelled = everything if train is None else [*train, *val]
    if train is not None and shows_defect(val):
        rule, is_torn = SplitRule.OWN, False
        side = dict.fromkeys(_names(train), TRAIN) | dict.fromkeys(
            _names(val), HELD_OUT
        )
    else:
        rule, fixed = SplitRule.HELD_OUT, dict(known)
        if train is not None:
            fixed |= dict.fromkeys(_names(val), HELD_OUT)
        side = hold_out(labelled, chosen, wishes.seed, fixed)
        is_torn = wishes.pattern is None and not _measurable(labelled, side)
        if is_torn:
            side = hold_out(labelled, same, wishes.seed, fixed)
    arranged = {name: tuple(photos) for name, photos in splits.items()}
    if train is None:
        place = "val" if "val" in splits else next(iter(splits), "all")
        arranged[place] = (*arranged.get(place, ()), *good)
    else:
        # A dataset that divides its parts has its good ones divided by content alone:
        # the same ones everywhere. That some look alike, `check` says.
        strict = rule is SplitRule.OWN and wishes.pattern is None
        side |= divide_good(good, same if strict else chosen, known, side)
        moves = rule is SplitRule.HELD_OUT and (good or val)
        moved = [p for p in train if moves and side[p.sha256] == HELD_OUT]
        arranged |= _joined(train, val, moved, ordered(good), side)
    photos = _places(root, everything, side, chosen)
    return arranged, SplitAssignment(
        _record(rule, wishes, photos), chosen, near, is_torn
    )


def _record(
    rule: SplitRule, wishes: SplitOptions, photos: dict[str, PhotoPlace]
) -> SplitRecord:
    """Return who went where, and why."""
    return SplitRecord(
        rule=rule,
        seed=wishes.seed,
        pattern=wishes.pattern,
        like=wishes.like_name,
        photos=photos,
    )


def _places(
    root: Path, photos: Sequence[Groupable], side: GroupNumbers, groups: GroupNumbers
) -> dict[str, PhotoPlace]:
    """Return where each photo went that training sees, by SHA-256."""
    return {
        photo.sha256: PhotoPlace(
            name=below(photo.path, root),
            side=SIDES[side[photo.sha256]],
            group=groups[photo.sha256],
        )
        for photo in ordered(photos)
        if photo.sha256 in side
    }


def shows_defect(photos: Iterable[Groupable]) -> bool:
    """Return whether any of the photos has a labelled defect.

    Args:
        photos: Of one side.
    """
    return any(len(photo.labels) for photo in photos)


def hold_out(
    photos: Sequence[Groupable], groups: GroupNumbers, seed: int, known: GroupNumbers
) -> dict[str, int]:
    """Return the side of each photo, a fifth held out in whole groups.

    Args:
        photos: To divide.
        groups: SHA-256 to the group that is not torn.
        seed: Of the division.
        known: SHA-256 to the side of photos that have one; a group goes where any of
            its photos was measured on, else where any was trained on.
    """
    numbers = [groups[photo.sha256] for photo in photos]
    fixed = _fixed(photos, groups, known)
    shares = (1 - HELD_OUT_SHARE, HELD_OUT_SHARE)
    found = sides(photos, shares, seed, numbers, fixed)
    return dict(zip(_names(photos), found.tolist(), strict=True))


def divide_good(
    good: Sequence[Groupable],
    groups: GroupNumbers,
    known: GroupNumbers,
    labelled: GroupNumbers,
) -> dict[str, int]:
    """Return the side of each good photo: by SHA-256 even ones train, odd ones do not.

    Args:
        good: Photos of ``good/``.
        groups: SHA-256 to the group that is not torn.
        known: SHA-256 to the side of photos that have one.
        labelled: SHA-256 to the side of labelled photos; their groups go with them.

    Returns:
        SHA-256 to side; a group follows the first of it.
    """
    settled: dict[int, int] = {}
    for names in (known, labelled):
        for name, side in names.items():
            if name in groups:
                settled[groups[name]] = max(side, settled.get(groups[name], TRAIN))
    for index, photo in enumerate(ordered(good)):
        settled.setdefault(groups[photo.sha256], HELD_OUT if index % 2 else TRAIN)
    return {photo.sha256: settled[groups[photo.sha256]] for photo in good}


def _names(photos: Iterable[Groupable]) -> list[str]:
    """Return the SHA-256 of each photo."""
    return [photo.sha256 for photo in photos]


def _fixed(
    photos: Sequence[Groupable], groups: GroupNumbers, known: GroupNumbers
) -> dict[int, int]:
    """Return the side of each group that has one: measured on outranks trained on."""
    fixed: dict[int, int] = {}
    for name in _names(photos):
        if name in known:
            group = groups[name]
            fixed[group] = max(known[name], fixed.get(group, TRAIN))
    return fixed


def _measurable(photos: Sequence[Groupable], side: GroupNumbers) -> bool:
    """Return whether both sides show a defect."""
    shown = {side[photo.sha256] for photo in photos if len(photo.labels)}
    return len(shown) == len(SIDES)


def _known(root: Path, names: Sequence[str], wishes: SplitOptions) -> dict[str, int]:
    """Return the sides of the earlier division."""
    if wishes.like is None:
        return {}
    places = wishes.like.photos
    known = {n: SIDES.index(places[n].side) for n in names if n in places}
    if not known:
        raise DatasetError(
            f"{root}: no photo of it was divided by {wishes.like_name}.",
            why=f"That run knows {len(places)} photos, none of these {len(names)}.",
            fix="Name a run of an earlier revision of this dataset, or leave "
            "--split-like out.",
        )
    return known


def _joined(
    train: Sequence[G],
    val: Sequence[G],
    moved: Sequence[G],
    good: Sequence[G],
    side: GroupNumbers,
) -> dict[str, tuple[G, ...]]:
    """Return train and val with the photos that change sides, and the good ones."""
    gone = set(_names(moved))
    joined = {
        "train": [p for p in train if p.sha256 not in gone],
        "val": [*val, *moved],
    }
    for photo in good:
        joined[SIDES[side[photo.sha256]]].append(photo)
    return {n: tuple(photos) for n, photos in joined.items() if photos or n == "train"}
