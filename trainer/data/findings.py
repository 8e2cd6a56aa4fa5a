"""Findings about a dataset: their kinds, and how each is shown."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from models.shown_text import on_one_line, printable

Corners = tuple[float, float, float, float]
"""x1, y1, x2, y2 of a box: pixels of the photo, or shares of it where noted."""

SHOWN_NAMES = 3  # names that one finding lists


class Level(StrEnum):
    """Whether training would be wrong, or only worse."""

    ERROR = "error"
    WARNING = "warning"


class FindingKind(StrEnum):
    """Subject of a finding, in the order of the reports.

    The value is the one in ``check --json``.
    """

    heading: str

    def __new__(cls, value: str, heading: str) -> Self:
        """Return the member of a value and its heading."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.heading = heading
        return member

    ANNOTATION = "annotation", "Annotations to review"
    PACKAGE = "package", "Model packages among the photos"
    UNREADABLE_PHOTO = "unreadable-photo", "Photos that cannot be read, or are cut off"
    WRONG_SIZE = "wrong-size", "Labels made for a picture of another size"
    TURNED_PHOTO = "turned-photo", "Photos that EXIF turns, with boxes that may not be"
    UNREAD_FORMAT = "unread-format", "Pictures in formats that are not read"
    BIT_DEPTH = "bit-depth", "Photos of 8 bits and of more, or above the bit depth"
    BLACK_PHOTO = "black-photo", "Photos that are nearly black"
    EMPTY_BOX = "empty-box", "Boxes that are empty"
    OUTSIDE_BOX = "outside-box", "Boxes outside their photo"
    CLIPPED_BOX = "clipped-box", "Boxes that reach outside their photo"
    DUPLICATE_BOX = "duplicate-box", "Boxes that are there twice"
    HUGE_BOX = "huge-box", "Boxes that cover nearly the whole photo"
    SMALL_BOX = "small-box", "Boxes that are too small at the input's size"
    DUPLICATE_PHOTO = "duplicate-photo", "Photos that are there twice"
    CONTRADICTION = "contradiction", "The same picture, labelled differently"
    SAME_IN_TWO_SPLITS = "same-in-two-splits", "The same picture in two splits"
    NEAR_CONTRADICTION = (
        "near-contradiction",
        "Nearly the same picture, with and without a defect",
    )
    NEAR_IN_TWO_SPLITS = "near-in-two-splits", "Nearly the same picture in two splits"
    GROUPS = "groups", "Groups of --group that promise nothing of others"
    SIMILAR_LABELS = "similar-labels", "Class names that differ by case or space"
    UNLABELLED = "unlabelled", "Photos without a label"
    UNCLEAR_LABEL = "unclear-label", "Photos whose labels do not decide what they show"
    RARE_LABEL = "rare-label", "Classes with few examples"
    ONE_SIDED_LABEL = (
        "one-sided-label",
        "Classes that are not trained on, or not measured on",
    )
    COLOUR_MIX = "colour-mix", "Grey among colour"
    SHAPE_MIX = "shape-mix", "Photos of another shape"
    SCALE_MIX = "scale-mix", "Photos of a very different size"
    LOOKS_DEFECTIVE = "looks-defective", "Photos without a label that look defective"
    MIXED_GOOD = "mixed-good", "Good parts that are unlike the others, or of two kinds"
    FEW_GOOD = "few-good", "Too few good parts"
    ONE_PART = "one-part", "Photos that all show one part"
    SPLITS = "splits", "What is trained on and what is measured on"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about a dataset."""

    level: Level  # errors stop training
    file: Path  # photo or annotation file at fault
    place: str  # line, annotation id or key inside the file; empty for all of it
    why: str
    fix: str
    kind: FindingKind = FindingKind.ANNOTATION
    # boxes at fault as they were drawn; pixels of the photo
    boxes: tuple[Corners, ...] = ()
    photo: Path | None = None  # the photo that it is about where `file` is another file

    def __str__(self) -> str:
        place = f" ({self.place})" if self.place else ""
        return on_one_line(
            f"{self.level}: {self.file}{place}: {self.why} Fix: {self.fix}"
        )

    def as_warning(self) -> Self:
        """Return the same finding as one that does not stop training."""
        return replace(self, level=Level.WARNING)

    def as_json(self) -> dict[str, object]:
        """Return the finding as ``check --json`` has it."""
        return {
            "level": self.level.value,
            "kind": self.kind.value,
            "file": printable(str(self.file)),
            "place": printable(self.place),
            "why": printable(self.why),
            "fix": printable(self.fix),
            "boxes": [[round(side, 2) for side in box] for box in self.boxes],
        }


def first_names(names: Iterable[str]) -> str:
    """Return the first names of many, joined for a finding."""
    listed = list(names)
    dots = "; …" if len(listed) > SHOWN_NAMES else ""
    return "; ".join(listed[:SHOWN_NAMES]) + dots
