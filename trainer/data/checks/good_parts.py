"""Whether there are enough photos of good parts for the class ``unknown``."""

from dataclasses import dataclass

from models.counted import agreeing, counted
from models.errors import DatasetError
from trainer.data.dataset import LEAST_GOOD_ALONE, LEAST_GOOD_BESIDE, Dataset


@dataclass(frozen=True, slots=True)
class GoodParts:
    """The photos of good parts that the class ``unknown`` can be learned from."""

    photos: int
    is_alone: bool  # without any labelled defect

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
                "the class unknown"
            )
        verb = "train learns" if self.is_alone else "train --unknown learns"
        return f"unknown: {photos} {kind}, enough: {verb} the class unknown"

    def as_json(self) -> dict[str, int]:
        """Return the numbers as ``check --json`` prints them."""
        return {
            "good_photos": self.photos,
            "needed": self.needed,
            "missing": self.missing,
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
    good = sum(photo.is_good for photo in photos)
    return GoodParts(good, is_alone) if good else None
