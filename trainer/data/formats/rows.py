"""What every annotation format is read into, and the findings on the way."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from trainer.data.formats.kinds import Kind

Corners = tuple[float, float, float, float]  # x1, y1, x2, y2, pixels of the photo
SHOWN = 3  # names that a finding lists
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


class Level(StrEnum):
    """Whether training would be wrong, or only worse."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about a dataset.

    Attributes:
        level: Errors stop training.
        file: Photo or annotation file at fault.
        place: Line, annotation id or key inside the file; empty for all of it.
        why: What is wrong: got and expected.
        fix: What to do.
        kind: What it is about.
        boxes: Boxes at fault, as they were drawn, if it is about boxes.
        photo: The photo that it is about where ``file`` is another file.
    """

    level: Level
    file: Path
    place: str
    why: str
    fix: str
    kind: Kind = Kind.ANNOTATION
    boxes: tuple[Corners, ...] = ()
    photo: Path | None = None

    def __str__(self) -> str:
        """Return the finding on one line."""
        place = f" ({self.place})" if self.place else ""
        return on_one_line(
            f"{self.level}: {self.file}{place}: {self.why} Fix: {self.fix}"
        )

    def as_json(self) -> dict[str, object]:
        """Return the finding for machines."""
        return {
            "level": self.level.value,
            "kind": self.kind.value,
            "file": printable(str(self.file)),
            "place": printable(self.place),
            "why": printable(self.why),
            "fix": printable(self.fix),
            "boxes": [[round(side, 2) for side in box] for box in self.boxes],
        }


def printable(text: str) -> str:
    """Return a text that any output takes, also of a file name that is not UTF-8.

    Args:
        text: With what Python makes of foreign bytes (PEP 383).
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def on_one_line(text: str) -> str:
    """Return a text that stays on its line of a terminal and commands nothing there.

    Args:
        text: With names of files and classes as they were found.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in printable(text)
    )


def named(names: Iterable[str]) -> str:
    """Return the first names of many, for a finding.

    Args:
        names: Of files or places.
    """
    listed = list(names)
    return "; ".join(listed[:SHOWN]) + ("; …" if len(listed) > SHOWN else "")


def split_name(text: str) -> str:
    """Return the name of a split, one for what tools call differently.

    ``valid`` and ``Validation`` are ``val``, ``instances_train2017`` is ``train``, as
    is ``trainval``; ``default``, what CVAT calls photos of no split, is ``all``.

    Args:
        text: As the tool wrote it.
    """
    name = text.strip().removeprefix("instances_")
    known = re.sub(r"^(train|val|test)(19|20)\d\d$", r"\1", name.lower())
    return SPLIT_NAMES.get(known, name)


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled box as the annotation file has it.

    Attributes:
        label: Name of the class.
        box: xyxy, pixels where ``normalized`` is false, else share of the photo.
        normalized: See ``box``.
        place: Where it stands in the annotation file.
    """

    label: str
    box: tuple[float, float, float, float]
    normalized: bool
    place: str


@dataclass(slots=True)
class PhotoRows:
    """One photo and its labelled boxes.

    Attributes:
        path: The picture.
        source: Annotation file.
        rows: Boxes; none for a good part.
        said_size_px: Width and height that the annotation file gives the photo, if
            it does; its boxes are right in a picture of this size only.
    """

    path: Path
    source: Path
    rows: list[Row] = field(default_factory=list)
    said_size_px: tuple[int, int] | None = None


@dataclass(slots=True)
class Annotations:
    """A whole dataset as its files have it.

    Attributes:
        splits: Name of the split to photos.
        labels: Class names in the order of the file.
        findings: What was wrong while reading.
    """

    splits: dict[str, list[PhotoRows]] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add_labels(self, names: list[str]) -> None:
        """Add the class names that are not known yet, in order.

        Args:
            names: Of one file.
        """
        self.labels += [name for name in names if name not in self.labels]
