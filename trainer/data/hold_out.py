"""Which photos are trained on and which are measured on, decided by their hash.

A detector cannot be measured on photos without a defect: both sides get some as long
as there are two photos with a defect.
"""

from collections.abc import Iterable
from typing import Protocol, TypeVar

HELD_OUT_SHARE = 5  # every fifth photo where the dataset has no val split


class Judged(Protocol):
    """A photo of which is known what it shows."""

    @property
    def sha256(self) -> str:
        """Hash of the file."""

    @property
    def is_good(self) -> bool:
        """Whether it shows a part without defects."""


P = TypeVar("P", bound=Judged)


def shows_defect(photos: Iterable[Judged]) -> bool:
    """Return whether any of the photos has a labelled defect.

    Args:
        photos: Of one side.
    """
    return any(not photo.is_good for photo in photos)


def divide(photos: Iterable[P]) -> tuple[tuple[P, ...], tuple[P, ...]]:
    """Return photos to train on and every fifth by SHA-256, held out.

    Args:
        photos: All there are.

    Returns:
        Two disjoint sides. Where one would show no defect, defective and good photos
        are divided each for themselves.
    """
    everything = tuple(photos)
    kept, held_out = _every_fifth(everything)
    if shows_defect(kept) and shows_defect(held_out):
        return kept, held_out
    bad_kept, bad_held_out = _every_fifth(p for p in everything if not p.is_good)
    good_kept, good_held_out = _every_fifth(p for p in everything if p.is_good)
    return bad_kept + good_kept, bad_held_out + good_held_out


def with_defects(
    pool: tuple[P, ...], held_out: tuple[P, ...]
) -> tuple[tuple[P, ...], tuple[P, ...]]:
    """Return both sides, every fifth defective photo moved if none is held out.

    Args:
        pool: Photos to train on.
        held_out: Photos to measure on.

    Returns:
        The same photos unless ``held_out`` shows no defect and two can be divided.
    """
    if shows_defect(held_out):
        return pool, held_out
    stay, moved = _every_fifth(p for p in pool if not p.is_good)
    if not stay:
        return pool, held_out
    taken = {photo.sha256 for photo in moved}
    return tuple(p for p in pool if p.sha256 not in taken), held_out + moved


def _every_fifth(photos: Iterable[P]) -> tuple[tuple[P, ...], tuple[P, ...]]:
    """Return four of five photos by SHA-256 and the fifth ones, disjoint."""
    ordered = sorted(photos, key=lambda photo: photo.sha256)
    held_out = tuple(ordered[::HELD_OUT_SHARE])
    taken = {photo.sha256 for photo in held_out}
    return tuple(p for p in ordered if p.sha256 not in taken), held_out
