"""Which photos belong together: one file, one burst, or one part, lot or day by name.

A pattern is the user's knowledge and outranks likeness: where it names a photo's group,
near-duplicates join nothing to it. Otherwise two lots of one product would melt into
one over a pair of parts that happen to look alike.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.boxes import IntArray
from models.errors import DatasetError
from trainer.data.splitting.near_duplicates import Fingerprint, near_duplicates
from trainer.data.splitting.stratify import Divisible, merged

SHOWN = 3  # file names in an error message


class Groupable(Divisible, Protocol):
    """A photo of which is known where it lies and what it looks like."""

    @property
    def path(self) -> Path:
        """The picture."""

    @property
    def fingerprint(self) -> Fingerprint:
        """It made small and grey."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Three ways to tell what belongs together, from coarse to fine.

    Attributes:
        chosen: ``[N]`` what no division tears: by pattern, else by likeness.
        near: ``[N]`` near-duplicates, whatever the pattern says.
        same: ``[N]`` photos with the same content.
    """

    chosen: IntArray
    near: IntArray
    same: IntArray


def group_photos(
    photos: Sequence[Groupable], root: Path, pattern: str | None
) -> Groups:
    """Return the groups of photos.

    Args:
        photos: All there are.
        root: The dataset's folder; the pattern is looked for in paths below it.
        pattern: Regular expression; its first group, else all of its match, names the
            group. None = likeness alone.

    Raises:
        DatasetError: The pattern matches no photo.
    """
    contents = [photo.sha256 for photo in photos]
    near = merged(near_duplicates([p.fingerprint for p in photos]).tolist(), contents)
    same = merged(contents)
    if pattern is None:
        return Groups(near, near, same)
    names = [_named(photo.path, root, pattern) for photo in photos]
    if photos and not any(name is not None for name in names):
        shown = ", ".join(below(photo.path, root) for photo in photos[:SHOWN])
        raise DatasetError(
            f"{root}: no photo is named by the group pattern {pattern!r}.",
            why=f"It is looked for in paths such as {shown}.",
            fix="Mend --group, or leave it out.",
        )
    keys: list[Hashable] = [
        ("near", int(like)) if name is None else ("named", name)
        for name, like in zip(names, near, strict=True)
    ]
    return Groups(merged(keys, contents), near, same)


def below(path: Path, root: Path) -> str:
    """Return a photo's path inside the dataset, with forward slashes.

    Args:
        path: The picture.
        root: The dataset's folder.
    """
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _named(path: Path, root: Path, pattern: str) -> str | None:
    """Return the name of a photo's group, None where the pattern says nothing."""
    match = re.search(pattern, below(path, root))
    if match is None:
        return None
    return match[1] if match.re.groups else match[0]
