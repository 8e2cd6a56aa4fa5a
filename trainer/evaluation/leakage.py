"""Keeps the photos that a run was trained on out of its evaluation.

Frames of a part that was trained on differ from the training photos by the camera's
noise only. A detector finds their defects by heart, so no figure is measured on them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.counted import agreeing, counted
from models.manifest import MEAN_PRECISIONS, Metrics, ThresholdRule, Thresholds
from trainer.data.dataset import Dataset, Photo
from trainer.data.splitting.split_record import (
    SPLIT_NAME,
    PhotoPlace,
    SplitAssignment,
    SplitRule,
    read_split_record,
)

ON_DEFECTIVE = (*MEAN_PRECISIONS, "recall", "precision", "escapes", "auroc")
ON_GOOD = ("overkill", "auroc")


@dataclass(frozen=True, slots=True)
class TrainedParts:
    """Which photos to measure on show nothing but parts that were trained on."""

    defective: bool = False  # all photos with a defect
    good: bool = False  # all photos of good parts

    def mask(self, metrics: Metrics) -> Metrics:
        """Return metrics without the figures that prove nothing for other parts."""
        kinds: list[str] = []
        figures: list[str] = []
        if self.defective:
            kinds.append("photos with a defect")
            figures += ON_DEFECTIVE
        if self.good:
            kinds.append("photos of good parts")
            figures += ON_GOOD
        if not kinds:
            return metrics
        reason = (
            f"The {' and the '.join(kinds)} to measure on are frames of parts that "
            "were trained on: they differ by the camera's noise only."
        )
        return metrics.without(figures, reason)

    def without_claims(self, thresholds: Thresholds) -> Thresholds:
        """Return the same thresholds without a share that they reach on such photos."""
        limited = {
            ThresholdRule.OVERKILL: self.good,
            ThresholdRule.ESCAPES: self.defective,
        }
        if not limited.get(thresholds.rule):
            return thresholds
        claims = dict.fromkeys(("promise", "reached", "cross_checked", "at_most"))
        return thresholds.model_copy(update=claims)


def trained_parts(
    assignment: SplitAssignment, trained: Iterable[Photo], measured: Iterable[Photo]
) -> TrainedParts:
    """Return which of the photos to measure on show only parts that were trained on.

    Photos that were trained on themselves are not meant: who measures on these wants to
    know how well they are remembered.
    """
    trained, measured = list(trained), list(measured)
    if {photo.content for photo in trained} & {photo.content for photo in measured}:
        return TrainedParts()
    known = assignment.scenes_of(trained)
    good = assignment.scenes_of(photo for photo in measured if photo.is_good)
    defective = assignment.scenes_of(photo for photo in measured if not photo.is_good)
    return TrainedParts(
        bool(defective) and defective <= known, bool(good) and good <= known
    )


def parts_trained_by(
    run: Path, dataset: Dataset, dataset_sha256: str, measured: Sequence[Photo]
) -> TrainedParts:
    """Return which photos to measure on show only parts that a model was trained on.

    Args:
        run: Folder of a run or a package.
        dataset_sha256: Hash of photos and labels that it was trained with.

    Raises:
        DatasetError: The run's split record cannot be read.
    """
    photos = dataset.photos
    if (run / SPLIT_NAME).exists():
        contents = _trained_contents(read_split_record(run).photos, photos)
        trained = [photo for photo in photos if photo.content in contents]
    elif dataset.sha256 == dataset_sha256:
        trained = list(dataset.for_training()[0])
    else:
        return TrainedParts()
    return trained_parts(dataset.split_assignment, trained, measured)


def _trained_contents(
    places: Mapping[str, PhotoPlace], photos: Sequence[Photo]
) -> set[str]:
    """Return the content of each photo that a run was trained on."""
    trained = {name for name, place in places.items() if place.side == "train"}
    pixels = {place.pixels or "" for name, place in places.items() if name in trained}
    return pixels | {photo.content for photo in photos if photo.sha256 in trained}


def without_trained(dataset: Dataset, run: Path) -> tuple[Dataset, str]:
    """Return a dataset whose val holds only photos that a run was not trained on.

    A dataset that brings its own val keeps it. Any other one would be split again with
    another seed, or not at all, and the run would be measured on its training photos.

    Args:
        run: Its folder; a package, or a run of an older version, has no split record.

    Returns:
        The dataset, and a sentence on what changed, empty where nothing did.

    Raises:
        DatasetError: The run's split record cannot be read.
    """
    has_own_val = dataset.split_assignment.record.rule is SplitRule.OWN
    if has_own_val or not (run / SPLIT_NAME).exists():
        return dataset, ""
    places = read_split_record(run).photos
    photos = [photo for split in dataset.splits.values() for photo in split]
    trained = _trained_contents(places, photos)
    train = tuple(photo for photo in photos if photo.content in trained)
    val = tuple(photo for photo in photos if photo.content not in trained)
    if not train:
        return dataset, ""
    if not val:
        return dataset, (
            f"{run} was trained on {_all_photos(len(train))}: on new photos its "
            "figures are lower."
        )
    note = (
        f"measuring on the {counted(len(val), 'photo')} that {run} was not trained "
        f"on; the {counted(len(train), 'training photo')} listed in its {SPLIT_NAME} "
        f"{agreeing(len(train), 'is', 'are')} left out"
    )
    return replace(dataset, splits={"train": train, "val": val}), note


def _all_photos(count: int) -> str:
    return "the only photo" if count == 1 else f"all {count} photos"
