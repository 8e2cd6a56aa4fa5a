"""Whether photos of good parts are enough for the class ``unknown``, and how they lie.

How they lie is compared on the small grey pictures that near-duplicates are found by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.counted import agreeing, counted
from models.errors import DatasetError
from trainer.data.dataset import (
    LEAST_GOOD_ALONE,
    LEAST_GOOD_BESIDE,
    Dataset,
    Photo,
)
from trainer.data.splitting.stratify import sorted_by_hash

ALIKE = 0.5  # share of the variance that the place explains
COMPARED = 400  # photos, 8 MB of numbers
FLAT = 1e-6  # spread of a picture without contrast


@dataclass(frozen=True, slots=True)
class GoodParts:
    """The photos of good parts that the class ``unknown`` can be learned from."""

    photos: int
    is_alone: bool  # without any labelled defect
    # share of the variance that the place explains, 0..1; None = not compared
    aligned: float | None = None

    @property
    def needed(self) -> int:
        """The fewest photos that it can be learned from."""
        return LEAST_GOOD_ALONE if self.is_alone else LEAST_GOOD_BESIDE

    @property
    def missing(self) -> int:
        """How many photos there are too few."""
        return max(0, self.needed - self.photos)

    def __str__(self) -> str:
        """Return one line for a person."""
        photos = counted(self.photos, "photo")
        kind = "of good parts alone" if self.is_alone else "of good parts to train on"
        if self.missing:
            are = agreeing(self.missing, "is", "are")
            return (
                f"unknown: {photos} {kind}; {self.missing} more {are} needed to learn "
                f"the class unknown{self._place}"
            )
        verb = "train learns" if self.is_alone else "train --unknown learns"
        return (
            f"unknown: {photos} {kind}, enough: {verb} the class unknown{self._place}"
        )

    @property
    def _place(self) -> str:
        return "" if self.aligned is None else f"; {place_text(self.aligned)}"

    def as_json(self) -> dict[str, int | float | None]:
        """Return the numbers as ``check --json`` prints them."""
        return {
            "good_photos": self.photos,
            "needed": self.needed,
            "missing": self.missing,
            "aligned": self.aligned,
        }


def good_parts(dataset: Dataset) -> GoodParts | None:
    """Return the good photos of a dataset for the class ``unknown``.

    Returns:
        None where there is no good photo, or nothing can be trained.
    """
    is_alone, photos = dataset.has_good_parts_only, dataset.photos
    if not is_alone:
        try:
            photos = dataset.for_training()[0]
        except DatasetError:  # the report has a finding for it
            return None
    good = [photo for photo in photos if photo.is_good]
    return GoodParts(len(good), is_alone, aligned_share(good)) if good else None


def aligned_share(photos: Sequence[Photo]) -> float | None:
    """Return the share of the differences of photos that the place explains, 0..1.

    Light and contrast of a whole photo do not count.

    Returns:
        None for a single photo, and for photos of several sizes.
    """
    if len({(photo.width_px, photo.height_px) for photo in photos}) != 1:
        return None
    compared = sorted_by_hash(photos)[:COMPARED]
    if len(compared) < 2:
        return None
    rows = np.stack([photo.fingerprint.ravel() for photo in compared]).astype(
        np.float64
    )
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= rows.std(axis=1, keepdims=True) + FLAT
    whole = float(rows.var())
    if whole < FLAT:
        return None
    within = float(rows.var(axis=0, ddof=1).mean())
    return round(min(1.0, max(0.0, 1 - within / whole)), 4)


def place_text(aligned: float) -> str:
    """Return how parts lie, for a person.

    Args:
        aligned: Share of the differences that the place explains, 0..1.
    """
    alike = "alike in" if aligned >= ALIKE else "differently from"
    photos = "all photos" if aligned >= ALIKE else "photo to photo"
    return (
        f"the parts lie {alike} {photos} (their place explains {aligned:.0%} of the "
        "differences)"
    )
