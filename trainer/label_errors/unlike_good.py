"""Offers the good photos that are the least like the others for labelling.

Each place is written as a box that is missing, of the class ``unknown``, with the score
as its confidence: an annotation tool opens it, and a person names the defect or deletes
the box.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from models.detections import Detections
from trainer.data.dataset import Dataset, Photo
from trainer.label_errors.export import write_label_issues
from trainer.label_errors.issues import LabelIssue, LabelIssueKind
from trainer.run_record import RunRecord, UnlikePhoto


def write_unlike_good(folder: Path, dataset: Dataset, record: RunRecord) -> int:
    """Write the files of the good photos of a run that score highest.

    Args:
        folder: Made if it does not exist.
        dataset: The run's.
        record: Names the photos; its last class is ``unknown``.

    Returns:
        Number of photos.

    Raises:
        TrainingError: The folder cannot be written.
        DatasetError: A file there cannot be written.
    """
    known = {photo.sha256: photo for photo in dataset.photos}
    rows: list[tuple[Photo, UnlikePhoto]] = [
        (known[one.sha256], one)
        for one in (record.unknown.highest if record.unknown else ())
        if one.sha256 in known and one.score > 0
    ]
    label = len(record.labels) - 1
    found = [
        Detections(
            np.array([one.box_px], np.float32),
            np.array([one.score], np.float32),
            np.array([label], np.int64),
        )
        for _, one in rows
    ]
    issues = [
        LabelIssue(LabelIssueKind.MISSING, number, one.score, detection=0)
        for number, (_, one) in enumerate(rows)
    ]
    named = replace(dataset, labels=record.labels)  # `unknown` is in no dataset
    write_label_issues(folder, named, [photo for photo, _ in rows], found, issues)
    return len(rows)
