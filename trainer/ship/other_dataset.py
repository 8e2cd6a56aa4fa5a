"""What differs between the dataset of a run and the one that is given for packing.

``split.json`` of the run has the name and the hash of each photo that was trained or
measured on. So a photo that was deleted or changed since can be named.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.counted import counted
from models.errors import DatasetError
from trainer.data.dataset import Dataset
from trainer.data.splitting.split_record import read_split_record
from trainer.run_record import RunRecord

NAMED = 3  # photos of one kind in the message
SAME_PHOTOS = "its photos are the same, but labels or class names have changed since"


def other_dataset(folder: Path, record: RunRecord, dataset: Dataset) -> DatasetError:
    """Return the error for a dataset that is not the one of a run.

    Args:
        folder: Where the run is.
        record: Its dataset has another hash.
    """
    differences = list(_differences(folder, dataset)) or [SAME_PHOTOS]
    return DatasetError(
        f"{dataset.root}: not the dataset that this run was trained with.",
        why=f"Trained with {record.dataset}; {'; '.join(differences)}.",
        fix="Restore it as it was, give its place with --dataset, or train again with "
        "this one.",
    )


def _differences(folder: Path, dataset: Dataset) -> Iterator[str]:
    """Yield what differs in the photos; nothing where only labels do."""
    try:
        then = read_split_record(folder).photos
    except DatasetError:  # a run of an earlier version has no such record
        yield "its photos or labels have changed since"
        return
    now = {
        photo.sha256: os.path.relpath(photo.path, dataset.root)
        for photo in dataset.photos
    }
    names_then = {place.name for place in then.values()}
    names_now = set(now.values())
    gone = {place.name for sha256, place in then.items() if sha256 not in now}
    if len(gone) == len(then):
        yield "none of its photos is here"
        return
    new = {name for sha256, name in now.items() if sha256 not in then}
    yield from _named(gone - names_now, "missing or cannot be read")
    yield from _named(gone & names_now, "changed since")
    yield from _named(new - names_then, "new")


def _named(names: set[str], what: str) -> Iterator[str]:
    if not names:
        return
    shown: Sequence[str] = sorted(names)[:NAMED]
    verb = "is" if len(names) == 1 else "are"
    if what == "changed since":
        verb = "has" if len(names) == 1 else "have"
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    yield f"{counted(len(names), 'photo')} {verb} {what}: {', '.join(shown)}{more}"
