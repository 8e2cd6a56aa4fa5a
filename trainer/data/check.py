"""Looks at a dataset before anybody trains on it: what is wrong, where, and the fix."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import DatasetError
from trainer.data.check_split import near_duplicates_across_splits
from trainer.data.dataset import Dataset, Photo, open_dataset
from trainer.data.division import SplitWishes
from trainer.data.formats.rows import Finding, Level, printable

FEW_EXAMPLES = 10  # boxes of a class below which nobody can promise anything
FEW_GOOD = 30  # good parts to measure on, below which 2 % overkill cannot be shown
SHOWN = 5  # findings in an error message; check prints all


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a dataset holds and what was found.

    Attributes:
        dataset: As it would be trained on.
        findings: Errors first.
    """

    dataset: Dataset
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make training wrong."""
        return tuple(f for f in self.findings if f.level is Level.ERROR)

    def as_json(self) -> dict[str, object]:
        """Return the report for machines."""
        splits = {
            name: {
                "images": len(photos),
                "good_images": sum(photo.is_good for photo in photos),
                "boxes": sum(len(photo.labels) for photo in photos),
            }
            for name, photos in self.dataset.splits.items()
        }
        return {
            "ok": not self.errors,
            "dataset": printable(str(self.dataset.root)),
            "sha256": self.dataset.sha256,
            "labels": list(self.dataset.labels),
            "splits": splits,
            "split": self.dataset.division.record.model_dump(mode="json"),
            "findings": [
                {
                    "level": finding.level.value,
                    "file": printable(str(finding.file)),
                    "place": printable(finding.place),
                    "why": printable(finding.why),
                    "fix": finding.fix,
                }
                for finding in self.findings
            ],
        }


def check_dataset(
    root: Path, *, trains: bool = True, split: SplitWishes | None = None
) -> CheckReport:
    """Read a dataset and look for what would spoil a training.

    Args:
        root: Its folder.
        trains: It is to be trained on, not only to be measured with.
        split: How to divide it.

    Returns:
        The report; the dataset in it is usable even where it has errors.

    Raises:
        DatasetError: There is no dataset, or none of its photos can be used.
    """
    dataset = open_dataset(root, split)
    findings = [
        *dataset.findings,
        *_duplicates_across_splits(dataset),
        *near_duplicates_across_splits(dataset),
        *_rare_labels(dataset),
        *_similar_labels(dataset),
        *_too_few_good(dataset),
        *(_untrainable(dataset) if trains else ()),
    ]
    order = {Level.ERROR: 0, Level.WARNING: 1}
    return CheckReport(dataset, tuple(sorted(findings, key=lambda f: order[f.level])))


def faultless_dataset(
    root: Path, *, trains: bool, split: SplitWishes | None = None
) -> CheckReport:
    """Return the report of a dataset that may be trained on or measured with.

    Args:
        root: Its folder.
        trains: It is to be trained on, not only to be measured with.
        split: How to divide it.

    Raises:
        DatasetError: It has errors; the first ones are told.
    """
    report = check_dataset(root, trains=trains, split=split)
    if report.errors:
        count = len(report.errors)
        first = " ".join(str(finding) for finding in report.errors[:SHOWN])
        raise DatasetError(
            f"{root}: {count} error{'s' * (count > 1)} in the dataset.",
            why=first,
            fix=f"Mend them; `graftline check {root}` lists all.",
        )
    return report


def _untrainable(dataset: Dataset) -> list[Finding]:
    """Return why there is too little to train and to measure on, if so."""
    try:
        dataset.for_training()
    except DatasetError as exc:
        what = exc.what.removeprefix(f"{dataset.root}: ")
        why = f"{what} {exc.why}"
        return [Finding(Level.ERROR, dataset.root, "splits", why, exc.fix)]
    return []


def _duplicates_across_splits(dataset: Dataset) -> list[Finding]:
    """Return photos that stand in two splits: the measurement would flatter."""
    seen: dict[str, tuple[str, Photo]] = {}
    findings = []
    for name, photos in dataset.splits.items():
        for photo in photos:
            first = seen.setdefault(photo.sha256, (name, photo))
            if first[0] != name:
                why = f"the same picture as {first[1].path.name} in {first[0]}."
                fix = "Keep it in one split."
                findings.append(Finding(Level.ERROR, photo.path, name, why, fix))
    return findings


def _rare_labels(dataset: Dataset) -> list[Finding]:
    """Return classes with few examples."""
    boxes = Counter(
        int(label)
        for photos in dataset.splits.values()
        for photo in photos
        for label in photo.labels
    )
    return [
        Finding(
            Level.WARNING,
            dataset.root,
            label,
            f"class {label!r} has {boxes[index]} boxes.",
            f"Label at least {FEW_EXAMPLES}, better 50.",
        )
        for index, label in enumerate(dataset.labels)
        if boxes[index] < FEW_EXAMPLES
    ]


def _similar_labels(dataset: Dataset) -> list[Finding]:
    """Return class names that differ by case or space only."""
    by_form: dict[str, list[str]] = {}
    for label in dataset.labels:
        by_form.setdefault("".join(label.lower().split()), []).append(label)
    return [
        Finding(
            Level.ERROR,
            dataset.root,
            ", ".join(map(repr, names)),
            "class names differ by case or space only.",
            "Merge them in the annotation tool.",
        )
        for names in by_form.values()
        if len(names) > 1
    ]


def _too_few_good(dataset: Dataset) -> list[Finding]:
    """Say so when false alarms cannot be measured."""
    measured = dataset.splits.get("val") or next(iter(dataset.splits.values()))
    good = int(np.sum([photo.is_good for photo in measured]))
    if good >= FEW_GOOD:
        return []
    return [
        Finding(
            Level.WARNING,
            dataset.root,
            "good",
            f"{good} photos of good parts to measure false alarms on.",
            f"Put at least {2 * FEW_GOOD} photos of good parts into good/.",
        )
    ]
