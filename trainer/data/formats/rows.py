"""The result of every annotation format: photos with labelled boxes, in splits."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from trainer.data.findings import Corners, Finding

# What annotation tools call their splits, and the one name each has here.
SPLIT_NAMES = {
    "": "all",
    "train": "train",
    "val": "val",
    "test": "test",
    "training": "train",
    "trainval": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
    "default": "all",
}


def split_name(text: str) -> str:
    """Return the name of a split, one for what tools call differently.

    ``valid`` and ``Validation`` are ``val``, ``instances_train2017`` is ``train``, as
    is ``trainval``; ``default``, what CVAT calls photos of no split, is ``all``.
    """
    name = text.strip().removeprefix("instances_")
    known = re.sub(r"^(train|val|test)(19|20)\d\d$", r"\1", name.lower())
    return SPLIT_NAMES.get(known, name)


class LabelState(StrEnum):
    """Whether the label files state what a photo shows."""

    LABELLED = "labelled"  # a record names the photo; without boxes it is a good part
    UNLABELLED = "unlabelled"  # no record: it may be good, or not inspected yet
    # a record that does not decide it: a defect without a box, people who disagree
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled box as the annotation file has it."""

    label: str
    box: Corners  # xyxy, pixels where `normalized` is false, else shares of the photo
    normalized: bool
    place: str  # line, annotation id or key in the annotation file


@dataclass(slots=True)
class PhotoRows:
    """One photo and its labelled boxes."""

    path: Path  # the picture; nothing can be read there if `fault` is not empty
    source: Path
    rows: list[Row] = field(default_factory=list)  # empty for a good part
    state: LabelState = LabelState.LABELLED
    state_reason: str = ""  # why it is not `LABELLED`: "it has no label file"
    state_fix: str = ""  # what to do about it; empty = what the state says
    # width and height that the annotation file gives the photo, if it does; its boxes
    # are right in a picture of this size only
    stated_size_px: tuple[int, int] | None = None
    place: str = ""  # where the annotation file names the picture
    fault: str = ""  # why the name cannot be that of a picture of the dataset


@dataclass(slots=True)
class Annotations:
    """A whole dataset as its files have it."""

    splits: dict[str, list[PhotoRows]] = field(default_factory=dict)
    # class names; the index is the label
    labels: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    # pictures of the dataset that no record means, outside of `good/`; in no split
    unlisted: list[PhotoRows] = field(default_factory=list)

    @property
    def photos(self) -> list[PhotoRows]:
        """The photos of all splits, then those in no record."""
        listed = [photo for photos in self.splits.values() for photo in photos]
        return [*listed, *self.unlisted]

    def add_labels(self, names: list[str]) -> None:
        """Add the class names that are not known yet, in order."""
        self.labels += [name for name in names if name not in self.labels]
