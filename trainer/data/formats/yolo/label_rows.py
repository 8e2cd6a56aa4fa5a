"""From label files to the boxes of their photos, with what is wrong in the lines."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from trainer.data.findings import Finding, Level, first_names
from trainer.data.formats.limits import PHOTO_LABELS_MAX_BYTES
from trainer.data.formats.rows import Annotations, PhotoRows, Row
from trainer.data.formats.shapes import Outlines
from trainer.data.formats.text_file import read_damaged_text
from trainer.data.formats.yolo.lines import (
    FolderEvidence,
    LabelLine,
    box_of,
    counts_from_1,
    evidence,
    outline_kind,
    parsed,
)

Lines = list[LabelLine]


def read_rows(annotations: Annotations, photos: Sequence[PhotoRows]) -> None:
    """Add the boxes of the label files to their photos.

    Args:
        photos: Each with its label file as ``source``.
    """
    faults = Faults(annotations.findings)
    lines: dict[Path, Lines] = {}
    for photo in photos:
        if photo.source not in lines:
            lines[photo.source] = _lines(photo, faults)
    by_folder: dict[Path, Lines] = defaultdict(list)
    for path, inside in lines.items():
        by_folder[path.parent] += inside
    shown = {folder: evidence(inside) for folder, inside in by_folder.items()}
    every = [line for inside in lines.values() for line in inside]
    is_shifted = counts_from_1(every, len(annotations.labels))
    for photo in photos:
        outlines = Outlines(photo.source)
        for line in lines[photo.source]:
            row = _row(
                line,
                annotations.labels,
                shown[photo.source.parent],
                is_shifted=is_shifted,
            )
            if isinstance(row, Row):
                photo.rows.append(row)
            else:
                faults.add(photo, line.number, row)
            if isinstance(row, Row) and line.is_outline:
                outlines.add(outline_kind(line), row.place)
        annotations.findings += outlines.findings()
    faults.report()
    annotations.findings += _may_be_corners(shown)


class Faults:
    """Lines that cannot be used, those of one file and reason together."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = findings
        self._lines: dict[tuple[Path, Path, str], dict[int, None]] = defaultdict(dict)

    def add(self, photo: PhotoRows, number: int, why: str) -> None:
        """Add one line, or with number 0 the whole file."""
        numbers = self._lines[photo.source, photo.path, why]
        numbers[number] = None

    def report(self) -> None:
        """Add one finding for each file and reason."""
        for (path, picture, why), numbers in self._lines.items():
            place = first_names(f"line {number}" for number in numbers if number)
            fix = "Correct the line." if len(numbers) == 1 else "Correct the lines."
            if not place:
                fix = "Give this user the right to read it, or copy it again."
            self._findings.append(
                Finding(Level.ERROR, path, place, why, fix, photo=picture)
            )


def _lines(photo: PhotoRows, faults: Faults) -> Lines:
    """Return the lines of a photo's label file that are numbers."""
    try:
        text = read_damaged_text(photo.source, PHOTO_LABELS_MAX_BYTES)
    except OSError as exc:
        faults.add(photo, 0, f"cannot be read: {exc.strerror}.")
        return []
    lines = []
    for number, words in enumerate(text.splitlines(), 1):
        if not words.strip():
            continue
        line = parsed(number, words)
        if isinstance(line, LabelLine):
            lines.append(line)
        else:
            faults.add(photo, number, line)
    return lines


def _row(
    line: LabelLine, labels: Sequence[str], found: FolderEvidence, *, is_shifted: bool
) -> Row | str:
    """Return the box on a line, or what is wrong with it."""
    if is_shifted:
        return (
            f"the highest class number of this dataset is {len(labels)}, 0 is never "
            "used: the numbers seem to start at 1, expected 0."
        )
    box = box_of(line, found)
    if isinstance(box, str):
        return box
    if not 0 <= line.label < len(labels):
        return f"class {str(line.label)[:20]} is unknown, there are {len(labels)}."
    return Row(labels[line.label], box, normalized=True, place=f"line {line.number}")


def _may_be_corners(shown: dict[Path, FolderEvidence]) -> Iterable[Finding]:
    """Return a finding for each folder with few boxes that may be corners."""
    return [
        Finding(
            Level.WARNING,
            folder,
            "",
            "the numbers of all boxes may be corners (x1 y1 x2 y2): as centre and "
            "sides (cx cy w h) some reach over the edge of the photo.",
            "Compare them with a photo; export again if they are corners.",
        )
        for folder, found in shown.items()
        if found.may_be_corners and not found.are_corners
    ]
