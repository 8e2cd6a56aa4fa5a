"""What a run may be measured on: photos that it was not trained on."""

from dataclasses import replace
from pathlib import Path

from trainer.data.dataset import Dataset
from trainer.data.splitting.split_record import SPLIT_NAME, SplitRule, read_split_record


def without_trained(dataset: Dataset, run: Path) -> tuple[Dataset, str]:
    """Return a dataset whose val is what a run did not train on.

    A dataset that brings its own val keeps it. Any other one would be divided anew, or
    not at all, and the run measured on photos that it learnt.

    Args:
        dataset: To measure on.
        run: Its folder; a package, or a run of an older version, has no record.

    Returns:
        The dataset, and what was done to it in words; empty for nothing.

    Raises:
        DatasetError: The run's record cannot be read.
    """
    is_divided = dataset.split_assignment.record.rule is SplitRule.OWN
    if is_divided or not (run / SPLIT_NAME).exists():
        return dataset, ""
    places = read_split_record(run).photos
    photos = [photo for split in dataset.splits.values() for photo in split]
    learnt = {name for name, place in places.items() if place.side == "train"}
    train = tuple(photo for photo in photos if photo.sha256 in learnt)
    val = tuple(photo for photo in photos if photo.sha256 not in learnt)
    if not train:
        return dataset, ""
    if not val:
        return dataset, (
            f"{run} was trained on all {len(train)} photos: the figures flatter."
        )
    said = (
        f"measuring on the {len(val)} photos that {run} was not trained on; "
        f"{len(train)} are left out, as its {SPLIT_NAME} says"
    )
    return replace(dataset, splits={"train": train, "val": val}), said
