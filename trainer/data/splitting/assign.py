"""Assigns photos to train and val: given splits, held-out photos, good parts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from models.counted import counted
from models.errors import DatasetError
from trainer.data.splitting.grouping import GroupablePhoto, below, group_photos
from trainer.data.splitting.split_record import (
    ALIKE_SHARE,
    SUBSETS,
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
    assign_subsets,
    sorted_by_hash,
)

G = TypeVar("G", bound=GroupablePhoto)
NumberByHash = Mapping[str, int]  # SHA-256 of a photo to its group or subset


def assign_splits(
    root: Path,
    splits: Mapping[str, Sequence[G]],
    good: Sequence[G],
    options: SplitOptions,
) -> tuple[dict[str, tuple[G, ...]], SplitAssignment]:
    """Return the splits with the good parts in them, and the assignment in force.

    Args:
        splits: As the dataset brings them, without ``good/``.
        good: Photos of ``good/``.
        options: How to divide what is not divided yet.

    Returns:
        Splits, where those of the dataset are kept unless its val shows no defect; and
        which photos are trained on.

    Raises:
        DatasetError: The pattern matches nothing, or no photo is in the record.
    """
    photos = [photo for split in splits.values() for photo in split] + [*good]
    groups = group_photos(photos, root, options.pattern)
    names = _hashes(photos)
    chosen, near, scenes, same = (
        dict(zip(names, numbers.tolist(), strict=True))
        for numbers in (groups.chosen, groups.near, groups.scenes, groups.same)
    )
    known = _recorded_subsets(root, photos, options)
    train, val = splits.get("train"), splits.get("val", ())
    splits_groups = False
    if train is not None and shows_defect(val):
        rule = SplitRule.OWN
        subset = _all_in(train, TRAIN) | _all_in(val, HELD_OUT)
    else:
        rule = SplitRule.HELD_OUT
        labelled = photos if train is None else [*train, *val]
        fixed = known if train is None else known | _all_in(val, HELD_OUT)
        subset, splits_groups = _hold_out_measurable(
            labelled, (chosen, scenes, same), fixed, options
        )
    assigned = {name: tuple(split) for name, split in splits.items()}
    if train is None:
        place = "val" if "val" in splits else next(iter(splits), "all")
        assigned[place] = (*assigned.get(place, ()), *good)
    else:
        # A dataset that brings its own splits has its good parts divided by scene
        # alone: the same ones everywhere. `check` reports near-duplicates. Where its
        # splits tear the groups of a pattern, no group is held out: good parts would
        # all follow to val, and none would be trained on.
        torn = rule is SplitRule.OWN and _are_torn(chosen, subset)
        strict = rule is SplitRule.OWN and (options.pattern is None or torn)
        subset |= assign_good(good, scenes if strict else chosen, known, subset)
        moves = rule is SplitRule.HELD_OUT and (good or val)
        moved = [p for p in train if moves and subset[p.sha256] == HELD_OUT]
        assigned |= _joined(train, val, moved, sorted_by_hash(good), subset)
    places = _places(root, photos, subset, chosen)
    record = SplitRecord(
        rule=rule,
        seed=options.seed,
        pattern=options.pattern,
        like=options.like_name,
        unlabelled=options.unlabelled,
        bit_depth=options.bit_depth,
        photos=places,
    )
    contradictions = tuple((names[a], names[b]) for a, b in groups.contradictions)
    return assigned, SplitAssignment(
        record, chosen, near, splits_groups, scenes, contradictions
    )


def _are_torn(groups: NumberByHash, subset: NumberByHash) -> bool:
    """Return whether photos of one group are trained and measured on."""
    sides = (
        {groups[name] for name, side in subset.items() if side == wanted}
        for wanted in (TRAIN, HELD_OUT)
    )
    trained, held_out = sides
    return bool(trained & held_out)


def _hold_out_measurable(
    labelled: Sequence[GroupablePhoto],
    groupings: Sequence[NumberByHash],
    fixed: NumberByHash,
    options: SplitOptions,
) -> tuple[dict[str, int], bool]:
    """Return the subset of each photo, and whether groups had to be split for it.

    One group by likeness may hold all defects; then only frames of one scene stay
    together, and where these are all of one scene, only copies of one picture. A
    pattern is the user's knowledge and its groups are kept in any case.

    Args:
        groupings: From coarse to fine.
    """
    coarse, *finer = groupings
    subset = hold_out(labelled, coarse, options.seed, fixed)
    if options.pattern is not None or _measurable(labelled, subset):
        return subset, False
    if not shows_defect(labelled):
        # Where photos of a fixed view are alike, the few others would be held out.
        for groups in groupings:
            numbers = Counter(groups[photo.sha256] for photo in labelled)
            if max(numbers.values(), default=0) <= ALIKE_SHARE * len(labelled):
                finer = [groups]
                break
    for groups in finer:
        subset = hold_out(labelled, groups, options.seed, fixed)
        if _measurable(labelled, subset):
            break
    return subset, groups is not coarse


def _places(
    root: Path,
    photos: Sequence[GroupablePhoto],
    subset: NumberByHash,
    groups: NumberByHash,
) -> dict[str, PhotoPlace]:
    """Return the place of each photo that training sees, by SHA-256."""
    return {
        photo.sha256: PhotoPlace(
            name=below(photo.path, root),
            side=SUBSETS[subset[photo.sha256]],
            group=groups[photo.sha256],
            pixels=photo.content if photo.content != photo.sha256 else None,
        )
        for photo in sorted_by_hash(photos)
        if photo.sha256 in subset
    }


def shows_defect(photos: Iterable[GroupablePhoto]) -> bool:
    """Return whether any of the photos has a labelled defect."""
    return any(len(photo.labels) for photo in photos)


def hold_out(
    photos: Sequence[GroupablePhoto],
    groups: NumberByHash,
    seed: int,
    known: NumberByHash,
) -> dict[str, int]:
    """Return the subset of each photo, ``HELD_OUT_SHARE`` held out in whole groups.

    Args:
        groups: SHA-256 to the group that stays together.
        seed: Decides between groups of equal need.
        known: SHA-256 to the subset of photos that have one; a group follows any of
            its photos that was measured on, else one that was trained on.
    """
    numbers = [groups[photo.sha256] for photo in photos]
    fixed = _fixed(photos, groups, known)
    shares = (1 - HELD_OUT_SHARE, HELD_OUT_SHARE)
    found = assign_subsets(photos, shares, seed, numbers, fixed)
    return dict(zip(_hashes(photos), found.tolist(), strict=True))


def assign_good(
    good: Sequence[GroupablePhoto],
    groups: NumberByHash,
    known: NumberByHash,
    labelled: NumberByHash,
) -> dict[str, int]:
    """Return the subset of each good photo, by sorted SHA-256: even ones train.

    Args:
        good: Photos of ``good/``.
        groups: SHA-256 to the group that stays together; it follows its first photo.
        known: SHA-256 to the subset of photos that have one.
        labelled: SHA-256 to the subset of labelled photos; their groups follow them.
    """
    settled: dict[int, int] = {}
    for names in (known, labelled):
        for name, subset in names.items():
            if name in groups:
                settled[groups[name]] = max(subset, settled.get(groups[name], TRAIN))
    for index, photo in enumerate(sorted_by_hash(good)):
        settled.setdefault(groups[photo.sha256], HELD_OUT if index % 2 else TRAIN)
    return {photo.sha256: settled[groups[photo.sha256]] for photo in good}


def _hashes(photos: Iterable[GroupablePhoto]) -> list[str]:
    return [photo.sha256 for photo in photos]


def _all_in(photos: Iterable[GroupablePhoto], subset: int) -> dict[str, int]:
    return dict.fromkeys(_hashes(photos), subset)


def _fixed(
    photos: Sequence[GroupablePhoto], groups: NumberByHash, known: NumberByHash
) -> dict[int, int]:
    """Return the subset of each group that has one: measured on outranks trained on."""
    fixed: dict[int, int] = {}
    for name in _hashes(photos):
        if name in known:
            group = groups[name]
            fixed[group] = max(known[name], fixed.get(group, TRAIN))
    return fixed


def _measurable(photos: Sequence[GroupablePhoto], subset: NumberByHash) -> bool:
    shown = {subset[photo.sha256] for photo in photos if len(photo.labels)}
    return len(shown) == len(SUBSETS)


def _recorded_subsets(
    root: Path, photos: Sequence[GroupablePhoto], options: SplitOptions
) -> dict[str, int]:
    """Return the subsets that an earlier record gives these photos."""
    if options.like is None:
        return {}
    places = options.like.photos
    # of two copies the one that was measured on counts: "val" comes after "train"
    ordered = sorted(places.values(), key=lambda place: place.side)
    copies = {place.pixels: place for place in ordered if place.pixels}
    found = {p.sha256: places.get(p.sha256) or copies.get(p.content) for p in photos}
    known = {name: SUBSETS.index(place.side) for name, place in found.items() if place}
    if not known:
        raise DatasetError(
            f"{root}: no photo of it was divided by {options.like_name}.",
            why=f"That run knows {counted(len(places), 'photo')}, none of these "
            f"{len(photos)}.",
            fix="Name a run of an earlier revision of this dataset, or leave "
            "--split-like out.",
        )
    return known


def _joined(
    train: Sequence[G],
    val: Sequence[G],
    moved: Sequence[G],
    good: Sequence[G],
    subset: NumberByHash,
) -> dict[str, tuple[G, ...]]:
    """Return train and val with the photos that change over, and the good ones."""
    gone = set(_hashes(moved))
    joined = {
        "train": [p for p in train if p.sha256 not in gone],
        "val": [*val, *moved],
    }
    for photo in good:
        joined[SUBSETS[subset[photo.sha256]]].append(photo)
    return {n: tuple(photos) for n, photos in joined.items() if photos or n == "train"}
