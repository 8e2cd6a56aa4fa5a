"""Groups photos that belong together: one file, one burst, one part, lot or day.

A pattern is the user's knowledge and outranks likeness: where it names a photo's group,
near-duplicates join nothing to it. Otherwise one pair of similar parts would join two
lots of a product into one group.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.boxes import IntArray
from models.errors import DatasetError
from trainer.data.splitting.near_duplicates import Fingerprint, near_duplicates
from trainer.data.splitting.stratify import SplittablePhoto, merge_groups

SHOWN_NAMES = 3  # file names in an error message


class GroupablePhoto(SplittablePhoto, Protocol):
    """The properties of a photo that grouping uses."""

    @property
    def path(self) -> Path:
        """The picture."""

    @property
    def fingerprint(self) -> Fingerprint:
        """The picture made small and grey."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Three groupings of the same photos, from coarse to fine."""

    chosen: IntArray  # [N] groups that stay together: by pattern, else by likeness
    near: IntArray  # [N] near-duplicates; the pattern does not count
    same: IntArray  # [N] photos with the same content


def group_photos(
    photos: Sequence[GroupablePhoto], root: Path, pattern: str | None
) -> Groups:
    """Return the groups of photos.

    Args:
        photos: All of the dataset: near-duplicates depend on the whole set.
        root: The dataset's folder; the pattern is searched in paths below it.
        pattern: Regular expression; its first group, else all of its match, names the
            group. None = likeness alone.

    Raises:
        DatasetError: The pattern matches no photo.
    """
    contents = [photo.sha256 for photo in photos]
    near = merge_groups(
        near_duplicates([p.fingerprint for p in photos]).tolist(), contents
    )
    same = merge_groups(contents)
    if pattern is None:
        return Groups(near, near, same)
    names = [_named(photo.path, root, pattern) for photo in photos]
    if photos and not any(name is not None for name in names):
        shown = ", ".join(below(photo.path, root) for photo in photos[:SHOWN_NAMES])
        raise DatasetError(
            f"{root}: no photo is named by the group pattern {pattern!r}.",
            why=f"It is searched in paths such as {shown}.",
            fix="Correct --group, or leave it out.",
        )
    keys: list[Hashable] = [
        ("near", int(like)) if name is None else ("named", name)
        for name, like in zip(names, near, strict=True)
    ]
    return Groups(merge_groups(keys, contents), near, same)


def below(path: Path, root: Path) -> str:
    """Return a photo's path inside the dataset, with forward slashes."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _named(path: Path, root: Path, pattern: str) -> str | None:
    """Return the name of a photo's group, None where the pattern does not match."""
    match = re.search(pattern, below(path, root))
    if match is None:
        return None
    return match[1] if match.re.groups else match[0]
