"""Groups photos that belong together: one file, one burst, one part, lot or day.

A pattern is the user's knowledge and outranks likeness: where it names a photo's group,
near-duplicates join nothing to it. Otherwise one pair of similar parts would join two
lots of a product into one group.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from models.boxes import IntArray
from models.errors import DatasetError
from trainer.data.splitting.group_pattern import SlowPatternError, group_names
from trainer.data.splitting.near_duplicates import near_duplicates
from trainer.data.splitting.one_scene import PhotoPair, ScenePhoto, find_scenes, joined
from trainer.data.splitting.stratify import SplittablePhoto, merge_groups

SHOWN_NAMES = 3  # file names in an error message


class GroupablePhoto(SplittablePhoto, ScenePhoto, Protocol):
    """The properties of a photo that grouping uses."""

    @property
    def content(self) -> str:
        """Hash of the decoded pixels."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Four groupings of the same photos, from coarse to fine."""

    chosen: IntArray  # [N] groups that stay together: by pattern, else by likeness
    near: IntArray  # [N] near-duplicates; the pattern does not count
    scenes: IntArray  # [N] frames that differ by noise only
    same: IntArray  # [N] photos with the same pixels
    # a photo with boxes and a photo of a good part that are nearly the same picture
    contradictions: tuple[PhotoPair, ...]


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
        DatasetError: The pattern matches no photo, or takes too long.
    """
    contents = [photo.content for photo in photos]
    found = find_scenes(photos)
    scenes = merge_groups(contents, found.groups)
    near = merge_groups(
        _near_scenes(photos, scenes),
        scenes.tolist(),
        joined(found.contradictions, len(photos)),
    )
    same = merge_groups(contents)
    if pattern is None:
        return Groups(near, near, scenes, same, found.contradictions)
    names = _names(photos, root, pattern)
    keys: list[Hashable] = [
        ("near", int(like)) if name is None else ("named", name)
        for name, like in zip(names, near, strict=True)
    ]
    chosen = merge_groups(keys, contents)
    return Groups(chosen, near, scenes, same, found.contradictions)


def _near_scenes(photos: Sequence[GroupablePhoto], scenes: IntArray) -> list[int]:
    """Return the group of near-duplicates of each photo; a scene counts as one photo.

    Otherwise its frames would be most of what all photos share.
    """
    _, first, scene = np.unique(scenes, return_index=True, return_inverse=True)
    groups = near_duplicates([photos[index].fingerprint for index in first.tolist()])
    return [int(groups[index]) for index in scene.tolist()]


def below(path: Path, root: Path) -> str:
    """Return a photo's path inside the dataset, with forward slashes."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _names(
    photos: Sequence[GroupablePhoto], root: Path, pattern: str
) -> list[str | None]:
    """Return the name that the pattern gives each photo's group; None = no match."""
    paths = [below(photo.path, root) for photo in photos]
    try:
        names = group_names(paths, pattern)
    except SlowPatternError as exc:
        raise DatasetError(
            f"{root}: the group pattern {pattern!r} is too slow, {exc}.",
            why="A repeat of a repeat, such as (a+)+, divides a path in every way.",
            fix="Correct --group; that of a run is the pattern in its split.json.",
        ) from exc
    if photos and not any(name is not None for name in names):
        raise DatasetError(
            f"{root}: no photo is named by the group pattern {pattern!r}.",
            why=f"It is searched in paths such as {', '.join(paths[:SHOWN_NAMES])}.",
            fix="Correct --group, or leave it out.",
        )
    return names
