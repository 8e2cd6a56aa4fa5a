"""What a repair of a dataset changes, step by step, in memory.

No guess about what a photo shows: a box that cannot be used is dropped where others
are left on its photo; where none is left, the photo would pass for a good part, so
the photo is left out. What is lost that way is told, for a person to bring back.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trainer.data.checks.boxes import doubles, photos_of
from trainer.data.checks.check import CheckReport
from trainer.data.checks.labels import box_counts, spellings
from trainer.data.checks.photos import PhotoOfSplit, copies_of, labelled_alike
from trainer.data.dataset import Dataset, Photo
from trainer.data.formats.kinds import Kind
from trainer.data.formats.rows import Finding, Level, on_one_line, printable

REDRAW = "Draw the defect anew."
# In which split a picture is kept: the measurement must neither shrink nor flatter.
RANKS = {"test": 0, "val": 1, "train": 3}
OTHER_RANK = 2
LOST_BOX = (Kind.EMPTY_BOX, Kind.OUTSIDE_BOX, Kind.ANNOTATION)  # errors of these kinds


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that the copy has otherwise than the original.

    Attributes:
        kind: Of the finding that it mends.
        file: Photo or annotation file of the original.
        place: Inside the file.
        done: What was done.
        left: What a person must still do; empty for nothing.
    """

    kind: Kind
    file: Path
    place: str
    done: str
    left: str = ""

    def __str__(self) -> str:
        """Return the repair on one line."""
        place = f" ({self.place})" if self.place else ""
        left = f" Left for you: {self.left}" if self.left else ""
        return on_one_line(f"repaired: {self.file}{place}: {self.done}{left}")

    def as_json(self) -> dict[str, object]:
        """Return the repair for machines."""
        return {
            "kind": self.kind.value,
            "file": printable(str(self.file)),
            "place": printable(self.place),
            "done": printable(self.done),
            "left": printable(self.left),
        }


def repaired(report: CheckReport) -> tuple[Dataset, list[Repair]]:
    """Return a dataset without the faults that can be repaired without a person.

    Args:
        report: Of the original.

    Returns:
        Dataset with the photos of the original, fewer or with fewer boxes, and what
        was done to it.
    """
    dataset, repairs = _merge_labels(report.dataset)
    dataset = _leave_out_unusable(dataset, report, repairs)
    dataset = _drop_doubles(dataset, repairs)
    return _leave_out_copies(dataset, repairs), repairs


def _merge_labels(dataset: Dataset) -> tuple[Dataset, list[Repair]]:
    """Merge class names that differ by case or space only.

    The spelling with the most boxes wins, the first one among equals.
    """
    counts = box_counts(dataset)
    index = {label: number for number, label in enumerate(dataset.labels)}
    renamed = np.zeros(len(index), np.int64)
    labels: list[str] = []
    repairs = []
    for names in spellings(dataset):
        best = max(names, key=lambda name: counts[index[name]])
        renamed[[index[name] for name in names]] = len(labels)
        labels.append(best)
        for name in names:
            if name != best:
                done = f"{counts[index[name]]} boxes of {name!r} are {best!r} now."
                kind = Kind.SIMILAR_LABELS
                repairs.append(Repair(kind, dataset.root, repr(name), done))
    merged = replace(dataset, labels=tuple(labels))
    relabelled = _mapped(merged, lambda p: replace(p, labels=renamed[p.labels]))
    return relabelled, repairs


def _leave_out_unusable(
    dataset: Dataset, report: CheckReport, repairs: list[Repair]
) -> Dataset:
    """Leave out photos of which the labels do not tell what they show."""
    good = {photo.path for photo in photos_of(dataset) if photo.is_good}
    unusable: set[Path] = set()
    for finding in report.dataset.findings:
        path = finding.photo or finding.file
        is_lost = finding.level is Level.ERROR and finding.kind in LOST_BOX
        leaves = (is_lost and path in good) or finding.kind is Kind.WRONG_SIZE
        if leaves:
            unusable.add(path)
        repairs.append(_repair_of_reading(finding, leaves=leaves))
    return _filtered(dataset, lambda photo: photo.path not in unusable)


def _repair_of_reading(finding: Finding, *, leaves: bool) -> Repair:
    """Return what became of something that was found while reading."""
    kind, file, place, why = finding.kind, finding.file, finding.place, finding.why
    if kind is Kind.CLIPPED_BOX:
        return Repair(kind, file, place, f"{why} It is clipped.")
    if kind is Kind.UNREADABLE_PHOTO:
        return Repair(kind, file, place, f"{why} It is left out.", finding.fix)
    if kind is Kind.WRONG_SIZE:
        return Repair(kind, file, place, f"{why} It is left out.", finding.fix)
    if kind in LOST_BOX and finding.level is Level.ERROR:
        what = (
            "dropped, and the photo left out: it has no other" if leaves else "dropped"
        )
        return Repair(kind, file, place, f"{why} It is {what}.", REDRAW)
    return Repair(kind, file, place, f"{why} The copy has what was read.", finding.fix)


def _drop_doubles(dataset: Dataset, repairs: list[Repair]) -> Dataset:
    """Drop the later one of two boxes of one class that lie on each other."""

    def single(photo: Photo) -> Photo:
        gone = [later for _, later, _ in doubles(photo)]
        for index in gone:
            label = dataset.labels[photo.labels[index]]
            place = photo.places[index] if photo.places else ""
            done = f"a second box of {label} on the same place is dropped."
            repairs.append(Repair(Kind.DUPLICATE_BOX, photo.path, place, done))
        return _without_boxes(photo, gone) if gone else photo

    return _mapped(dataset, single)


def _without_boxes(photo: Photo, gone: list[int]) -> Photo:
    """Return a photo without some of its boxes."""
    return replace(
        photo,
        boxes=np.delete(photo.boxes, gone, axis=0),
        labels=np.delete(photo.labels, gone),
        places=tuple(p for i, p in enumerate(photo.places) if i not in gone),
    )


def _leave_out_copies(dataset: Dataset, repairs: list[Repair]) -> Dataset:
    """Keep one of the places where a picture stands, none where they contradict."""
    gone: set[int] = set()  # of the objects: one path may stand twice in a split
    for copies in copies_of(dataset):
        split, kept = min(copies, key=lambda one: RANKS.get(one[0], OTHER_RANK))
        alike = all(labelled_alike(kept, photo) for _, photo in copies)
        for name, photo in copies:
            if alike and photo is kept:
                continue
            gone.add(id(photo))
            repairs.append(_repair_of_copy((name, photo), (split, kept), alike=alike))
    return _filtered(dataset, lambda photo: id(photo) not in gone)


def _repair_of_copy(copy: PhotoOfSplit, kept: PhotoOfSplit, *, alike: bool) -> Repair:
    """Return what became of a picture that stands in several places."""
    split, photo = copy
    if not alike:
        done = "left out with its copies: they are labelled differently."
        left = "Put it back once, labelled rightly."
        return Repair(Kind.CONTRADICTION, photo.path, split, done, left)
    kind = Kind.DUPLICATE_PHOTO if split == kept[0] else Kind.SAME_IN_TWO_SPLITS
    done = f"left out: {kept[1].path.name} in {kept[0]} is the same picture."
    return Repair(kind, photo.path, split, done)


def _mapped(dataset: Dataset, change: Callable[[Photo], Photo]) -> Dataset:
    """Return a dataset with every photo changed."""
    splits = {
        name: tuple(change(photo) for photo in photos)
        for name, photos in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


def _filtered(dataset: Dataset, keep: Callable[[Photo], bool]) -> Dataset:
    """Return a dataset with some of its photos."""
    splits = {
        name: tuple(photo for photo in photos if keep(photo))
        for name, photos in dataset.splits.items()
    }
    return replace(dataset, splits=splits)
