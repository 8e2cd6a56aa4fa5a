"""The lines of YOLO label files: ``class cx cy w h`` as shares of the photo.

A line has no field names, so what its numbers are follows from their count and size:

* 4 after the class: a box. Numbers far outside of 0..1 are pixels or damaged.
* 6 or more, even: the corners of an outline; its bounding box is used. A box that a
  tracker wrote has as many numbers: centre, sides, score, and its track's number.
* 5, or odd: a box or an outline, and a score. A detector has drawn it, not a person.

What one line leaves open, the lines of its folder decide together (``FolderEvidence``).

Source: Ultralytics' dataset formats (detect, segment, OBB), its ``save_txt`` with
``save_conf`` and tracks; its loader refuses coordinates above 1.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainer.data.findings import Corners
from trainer.data.formats.shapes import bounding_box, centred_box
from trainer.data.paths import shown

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DECIMAL_COMMA = re.compile(r"\d,\d", re.ASCII)
BOX_NUMBERS = 4
TRIANGLE_NUMBERS = 6  # also centre, sides, score and track
QUADRILATERAL_NUMBERS = 8
FAR_OUTSIDE = 0.1  # share of the photo; tools that draw over the edge stay below
PIXELS = 2.0  # no share is as large, no box of a defect has two pixels everywhere
# A box that reaches over the edge by more is no rounding, but read wrongly.
OVER_EDGE = 0.02
# Of boxes anywhere in a photo, more than half would; of large ones in it, next to none.
SHARE_OVER_EDGE = 0.25
ENOUGH_BOXES = 5  # to refuse what could also be boxes of large defects, drawn badly

EXPECTED = "expected 4: centre and sides as shares of the photo"


@dataclass(frozen=True, slots=True)
class LabelLine:
    """One line in numbers."""

    number: int  # from 1
    label: int
    values: tuple[float, ...]  # what follows the class

    @property
    def is_box(self) -> bool:
        """Whether it has the numbers of a box."""
        return len(self.values) == BOX_NUMBERS

    @property
    def is_outline(self) -> bool:
        """Whether it has the numbers of three corners or more."""
        count = len(self.values)
        return count >= TRIANGLE_NUMBERS and count % 2 == 0

    @property
    def may_end_in_track(self) -> bool:
        """Whether the last two numbers may be a score and a track's number."""
        score, track = self.values[-2:]
        return 0 <= score <= 1 and track >= 0 and track.is_integer()


def parsed(number: int, text: str) -> LabelLine | str:
    """Return the numbers of a line, or what is wrong with it."""
    words = text.split()
    if not all(NUMBER.fullmatch(word) for word in words):
        return _text_fault(text, words)
    label, *values = (float(word) for word in words)
    if not all(math.isfinite(value) for value in (label, *values)):
        return f"{shown(text)} holds a number that is too large."
    if not label.is_integer():  # 0.0 is class 0: some exporters write floats
        return f"class {words[0][:20]} is no whole number."
    return LabelLine(number, int(label), tuple(values))


def _text_fault(text: str, words: Sequence[str]) -> str:
    """Return what is wrong with a line that does not consist of numbers."""
    if ";" in text or "," in text:
        is_decimal = len(words) > BOX_NUMBERS and DECIMAL_COMMA.search(text)
        what = "decimal commas" if is_decimal else "commas between the numbers"
        return f"{shown(text)} has {what}; expected points and spaces."
    if len(words) > BOX_NUMBERS and all(NUMBER.fullmatch(word) for word in words[1:]):
        return f"class {shown(words[0])} is a name; expected its number."
    if not any(NUMBER.fullmatch(word) for word in words):
        return f"{shown(text)} is a header or a comment, not 'class cx cy w h'."
    return f"{shown(text)} is not 'class cx cy w h'."


@dataclass(frozen=True, slots=True)
class FolderEvidence:
    """What the lines of one folder show together."""

    ends_in_tracks: bool = False  # outlines are boxes with score and track
    may_be_corners: bool = False  # x1 y1 x2 y2 in the place of centre and sides
    are_corners: bool = False  # the same, with enough boxes to be sure


def evidence(lines: Iterable[LabelLine]) -> FolderEvidence:
    """Return what the lines of one folder show together."""
    known = list(lines)
    outlines = [line for line in known if line.is_outline]
    # One outline may end at the photo's edge, with 0 or 1; all of them do not.
    is_short = any(len(line.values) == TRIANGLE_NUMBERS for line in outlines)
    ends_in_tracks = (len(outlines) > 1 or is_short) and all(
        line.may_end_in_track for line in outlines
    )
    boxes = [line.values for line in known if line.is_box]
    may_be_corners = _may_be_corners(boxes)
    are_corners = may_be_corners and len(boxes) >= ENOUGH_BOXES
    return FolderEvidence(ends_in_tracks, may_be_corners, are_corners)


def counts_from_1(lines: Iterable[LabelLine], class_count: int) -> bool:
    """Return whether class numbers seem to begin with 1: 0 is not used, the count is.

    Args:
        lines: All of the dataset.
        class_count: Number of class names.
    """
    used = {line.label for line in lines}
    return bool(used) and min(used) == 1 and max(used) == class_count


def _may_be_corners(boxes: Sequence[tuple[float, ...]]) -> bool:
    """Return whether boxes are right as corners, and over the edge as centres."""
    most = 1 + OVER_EDGE
    are_ordered = all(x1 < x2 <= most and y1 < y2 <= most for x1, y1, x2, y2 in boxes)
    over_edge = [
        max(-x1, -y1, x2 - 1, y2 - 1) > OVER_EDGE
        for x1, y1, x2, y2 in (_centred(box) for box in boxes)
    ]
    return are_ordered and sum(over_edge) > SHARE_OVER_EDGE * len(boxes)


def _centred(values: Sequence[float]) -> Corners:
    cx, cy, width, height = values
    return centred_box(cx, cy, width, height)


def box_of(line: LabelLine, found: FolderEvidence) -> Corners | str:
    """Return the box of a line as shares of the photo, or why it is none.

    Args:
        found: What the lines of its folder show.
    """
    values = line.values
    if fault := _count_fault(line, found) or _size_fault(values):
        return fault
    if line.is_outline:
        return bounding_box(zip(values[::2], values[1::2], strict=True))
    if found.are_corners:
        return (
            "all boxes of its folder have x1 < x2 and y1 < y2, and some would reach "
            "over the edge as centres: these may be corners (x1 y1 x2 y2)."
        )
    return _centred(values)


def _count_fault(line: LabelLine, found: FolderEvidence) -> str:
    """Return why a line has too few or too many numbers; empty where it is right."""
    count = len(line.values)
    if line.is_box:
        return ""
    fault = f"{count} number{'s' * (count != 1)} after the class, {EXPECTED}."
    if count < BOX_NUMBERS:
        return fault
    if not line.is_outline:
        is_box = count == BOX_NUMBERS + 1
        what = "a box and its angle, or a box" if is_box else "an outline"
        return f"{fault} This may be {what} and the score of a detector."
    is_track = line.may_end_in_track and (found.ends_in_tracks or line.values[-1] > 1)
    if is_track:
        return f"{fault} The last two may be the score and the track of a detector."
    return ""


def _size_fault(values: Sequence[float]) -> str:
    """Return why numbers cannot be shares of a photo; empty where they can."""
    if min(values) >= 0 and max(values) > PIXELS:
        largest = f"{max(values):g} is no share of the photo (0 to 1)"
        return f"{largest}: the numbers may be pixels or per cent."
    far = [v for v in values if not -FAR_OUTSIDE <= v <= 1 + FAR_OUTSIDE]
    return f"{far[0]:g} is far outside of the photo (0 to 1)." if far else ""


def outline_kind(line: LabelLine) -> str:
    """Return what a line with corners is called in a finding."""
    kinds = {
        TRIANGLE_NUMBERS: "triangle",
        QUADRILATERAL_NUMBERS: "turned box or polygon of four corners",
    }
    return kinds.get(len(line.values), "polygon")
