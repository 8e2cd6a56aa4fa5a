"""The result of every annotation format: photos with labelled boxes, in splits."""

import re
from dataclasses import dataclass, field
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

    def add_labels(self, names: list[str]) -> None:
        """Add the class names that are not known yet, in order."""
        self.labels += [name for name in names if name not in self.labels]
