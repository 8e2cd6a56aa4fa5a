"""Keeps the photos that a run was trained on out of its evaluation."""

from dataclasses import replace
from pathlib import Path

from trainer.data.dataset import Dataset
from trainer.data.splitting.split_record import SPLIT_NAME, SplitRule, read_split_record


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
    trained = {name for name, place in places.items() if place.side == "train"}
    train = tuple(photo for photo in photos if photo.sha256 in trained)
    val = tuple(photo for photo in photos if photo.sha256 not in trained)
    if not train:
        return dataset, ""
    if not val:
        return dataset, (
            f"{run} was trained on all {len(train)} photos: on new photos its figures "
            "are lower."
        )
    note = (
        f"measuring on the {len(val)} photos that {run} was not trained on; the "
        f"{len(train)} training photos listed in its {SPLIT_NAME} are left out"
    )
    return replace(dataset, splits={"train": train, "val": val}), note
