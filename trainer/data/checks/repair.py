"""Repairs a dataset step by step, in memory.

A repair never assumes what a photo shows: a box that cannot be used is dropped where
others are left on its photo; where none is left, the photo would count as a good part,
so the photo is left out. Each repair reports what is lost, for a person to restore.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.counted import agreeing, counted
from models.shown_text import on_one_line, printable
from trainer.data.checks.boxes import repeated_boxes
from trainer.data.checks.check import CheckReport
from trainer.data.checks.labels import box_counts, spellings
from trainer.data.checks.photos import PhotoOfSplit, copies_of, labelled_alike
from trainer.data.dataset import Dataset, Photo
from trainer.data.findings import Finding, FindingKind, Level

REDRAW = "Draw the defect again."
# The split with the lowest rank keeps a picture: a picture that is measured on stays
# there, so that the measurement neither shrinks nor has photos of the training.
RANKS = {"test": 0, "val": 1, "train": 3}
OTHER_RANK = 2
LOST_BOX = (
    FindingKind.EMPTY_BOX,
    FindingKind.OUTSIDE_BOX,
    FindingKind.ANNOTATION,
)  # errors of these kinds
LEFT_OUT = (
    FindingKind.PACKAGE,
    FindingKind.UNREADABLE_PHOTO,
    FindingKind.WRONG_SIZE,
)


@dataclass(frozen=True, slots=True)
class Repair:
    """One difference between the copy and the original."""

    kind: FindingKind
    file: Path  # photo or annotation file of the original
    place: str  # line, annotation id or key inside the file; empty for all of it
    done: str
    left: str = ""  # what a person must still do; empty for nothing

    def __str__(self) -> str:
        place = f" ({self.place})" if self.place else ""
        left = f" Left for you: {self.left}" if self.left else ""
        return on_one_line(f"repaired: {self.file}{place}: {self.done}{left}")

    def as_json(self) -> dict[str, object]:
        """Return the repair as ``check --fix --json`` prints it."""
        return {
            "kind": self.kind.value,
            "file": printable(str(self.file)),
            "place": printable(self.place),
            "done": printable(self.done),
            "left": printable(self.left),
        }


def repaired(report: CheckReport) -> tuple[Dataset, list[Repair]]:
    """Return a dataset without the faults that can be repaired without a person.

    Returns:
        Dataset with the photos of the original, fewer or with fewer boxes, and the
        repairs that made it.
    """
    dataset, repairs = _merge_labels(report.dataset)
    dataset = _leave_out_unusable(dataset, report, repairs)
    dataset = _drop_repeated_boxes(dataset, repairs)
    return _leave_out_copies(dataset, repairs), repairs


def _merge_labels(dataset: Dataset) -> tuple[Dataset, list[Repair]]:
    """Merge class names that differ by case or space only.

    The spelling with the most boxes is kept, the first one among equals.
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
                done = (
                    f"{counted(counts[index[name]], 'box', 'boxes')} of {name!r} "
                    f"{agreeing(counts[index[name]], 'is', 'are')} {best!r} now."
                )
                kind = FindingKind.SIMILAR_LABELS
                repairs.append(Repair(kind, dataset.root, repr(name), done))
    merged = replace(dataset, labels=tuple(labels))
    relabelled = _mapped(merged, lambda p: replace(p, labels=renamed[p.labels]))
    return relabelled, repairs


def _leave_out_unusable(
    dataset: Dataset, report: CheckReport, repairs: list[Repair]
) -> Dataset:
    """Leave out photos whose labels do not give what they show."""
    good = {photo.path for photo in dataset.photos if photo.is_good}
    unusable: set[Path] = set()
    for finding in report.dataset.findings:
        path = finding.photo or finding.file
        is_lost = finding.level is Level.ERROR and finding.kind in LOST_BOX
        leaves = (is_lost and path in good) or finding.kind is FindingKind.WRONG_SIZE
        if leaves:
            unusable.add(path)
        repairs.append(_repair_of_reading(finding, leaves=leaves))
    return _filtered(dataset, lambda photo: photo.path not in unusable)


def _repair_of_reading(finding: Finding, *, leaves: bool) -> Repair:
    """Return how a finding of the reader was repaired."""
    kind, file, place, why = finding.kind, finding.file, finding.place, finding.why
    is_error = finding.level is Level.ERROR
    if kind is FindingKind.CLIPPED_BOX:
        return Repair(kind, file, place, f"{why} It is clipped.")
    if kind is FindingKind.UNCLEAR_LABEL:
        return Repair(kind, file, place, f"{why} Not in the copy either.", finding.fix)
    if kind in LEFT_OUT or (kind is FindingKind.BIT_DEPTH and is_error):
        return Repair(kind, file, place, f"{why} It is left out.", finding.fix)
    if kind is FindingKind.ANNOTATION and finding.photo is None and is_error:
        return Repair(kind, file, place, f"{why} It is not in the copy.", finding.fix)
    if kind in LOST_BOX and is_error:
        what = (
            "dropped, and the photo left out: it has no other" if leaves else "dropped"
        )
        return Repair(kind, file, place, f"{why} It is {what}.", REDRAW)
    return Repair(kind, file, place, f"{why} It is copied as read.", finding.fix)


def _drop_repeated_boxes(dataset: Dataset, repairs: list[Repair]) -> Dataset:
    """Drop the later one of two boxes of one class that lie on each other."""

    def single(photo: Photo) -> Photo:
        gone = [later for _, later, _ in repeated_boxes(photo)]
        for index in gone:
            label = dataset.labels[photo.labels[index]]
            place = photo.places[index] if photo.places else ""
            done = f"a second box of {label} on the same place is dropped."
            repairs.append(Repair(FindingKind.DUPLICATE_BOX, photo.path, place, done))
        return _without_boxes(photo, gone) if gone else photo

    return _mapped(dataset, single)


def _without_boxes(photo: Photo, gone: list[int]) -> Photo:
    return replace(
        photo,
        boxes=np.delete(photo.boxes, gone, axis=0),
        labels=np.delete(photo.labels, gone),
        places=tuple(p for i, p in enumerate(photo.places) if i not in gone),
    )


def _leave_out_copies(dataset: Dataset, repairs: list[Repair]) -> Dataset:
    """Keep a picture in one of its places, in none where the labels contradict."""
    gone: set[int] = set()  # ids of objects: one path may be twice in a split
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
    """Return what happens to a picture that is in several places."""
    split, photo = copy
    if not alike:
        done = "left out with its copies: they are labelled differently."
        left = "Put it back once, labelled rightly."
        return Repair(FindingKind.CONTRADICTION, photo.path, split, done, left)
    kind = (
        FindingKind.DUPLICATE_PHOTO
        if split == kept[0]
        else FindingKind.SAME_IN_TWO_SPLITS
    )
    done = f"left out: {kept[1].path.name} in {kept[0]} is the same picture."
    return Repair(kind, photo.path, split, done)


def _mapped(dataset: Dataset, change: Callable[[Photo], Photo]) -> Dataset:
    splits = {
        name: tuple(change(photo) for photo in photos)
        for name, photos in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


def _filtered(dataset: Dataset, keep: Callable[[Photo], bool]) -> Dataset:
    splits = {
        name: tuple(photo for photo in photos if keep(photo))
        for name, photos in dataset.splits.items()
    }
    return replace(dataset, splits=splits)
