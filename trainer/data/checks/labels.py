"""Finds faults of the classes of a dataset: too rare, one-sided, spelled twice."""

import math
from collections import Counter

from models.counted import counted
from models.errors import DatasetError
from trainer.data.dataset import Dataset
from trainer.data.findings import Finding, FindingKind, Level

FEW_EXAMPLES = 10  # boxes of a class; with fewer no recall can be promised
WANTED_EXAMPLES = 50  # boxes of a class that the fix recommends
# Good parts to measure on: with fewer no threshold promises that at most 2 % of good
# parts are alarmed.
FEW_GOOD = 49


def rare_labels(dataset: Dataset) -> list[Finding]:
    """Return classes with few examples."""
    boxes = box_counts(dataset)
    return [
        Finding(
            Level.WARNING,
            dataset.root,
            label,
            f"class {label!r} has {counted(boxes[index], 'box', 'boxes')}.",
            f"Label at least {FEW_EXAMPLES}, better {WANTED_EXAMPLES}.",
            FindingKind.RARE_LABEL,
        )
        for index, label in enumerate(dataset.labels)
        if boxes[index] < FEW_EXAMPLES
    ]


def box_counts(dataset: Dataset) -> Counter[int]:
    """Return how many boxes each class has, by its index."""
    return Counter(int(label) for photo in dataset.photos for label in photo.labels)


def one_sided_labels(dataset: Dataset) -> list[Finding]:
    """Return classes that only the training or only the measurement has."""
    try:
        subsets = dataset.for_training()
    except DatasetError:  # ``untrainable`` reports it
        return []
    trained, measured = (
        Counter(int(label) for photo in photos for label in photo.labels)
        for photos in subsets
    )
    findings = []
    for index, label in enumerate(dataset.labels):
        if (trained[index] > 0) == (measured[index] > 0):
            continue
        why = (
            f"class {label!r} has {counted(trained[index], 'box', 'boxes')} to "
            "train on and "
            f"{measured[index]} to measure on: "
        )
        why += (
            "how well it is found cannot be measured."
            if trained[index]
            else "it is never learnt, and each of these counts as missed."
        )
        fix = "Label it in at least two parts, one to train on and one to measure on."
        findings.append(
            Finding(
                Level.WARNING,
                dataset.root,
                label,
                why,
                fix,
                FindingKind.ONE_SIDED_LABEL,
            )
        )
    return findings


def similar_labels(dataset: Dataset) -> list[Finding]:
    """Return class names that differ by case or space only."""
    return [
        Finding(
            Level.ERROR,
            dataset.root,
            ", ".join(map(repr, names)),
            "class names differ by case or space only.",
            "Merge them in the annotation tool.",
            FindingKind.SIMILAR_LABELS,
        )
        for names in spellings(dataset)
        if len(names) > 1
    ]


def spellings(dataset: Dataset) -> list[list[str]]:
    """Return the class names, grouped where they differ by case or space only."""
    by_form: dict[str, list[str]] = {}
    for label in dataset.labels:
        by_form.setdefault("".join(label.lower().split()), []).append(label)
    return list(by_form.values())


def too_few_good(dataset: Dataset) -> list[Finding]:
    """Return a finding where false alarms cannot be measured."""
    measured = dataset.splits.get("val") or next(iter(dataset.splits.values()))
    scenes_of = dataset.split_assignment.scenes_of  # frames count once
    good = len(scenes_of(photo for photo in measured if photo.is_good))
    if good >= FEW_GOOD:
        return []
    there = len(scenes_of(photo for photo in dataset.photos if photo.is_good))
    wanted = math.ceil(FEW_GOOD * (there / good if good else 2))
    return [
        Finding(
            Level.WARNING,
            dataset.root,
            "good",
            f"{counted(good, 'photo')} of good parts to measure false alarms on: a "
            f"promise of 2 % takes {FEW_GOOD}.",
            f"Put {counted(wanted, 'photo')} of good parts into good/; a part of them "
            "is trained on.",
            FindingKind.FEW_GOOD,
        )
    ]


def untrainable(dataset: Dataset) -> list[Finding]:
    """Return an error where there is too little to train or to measure on."""
    try:
        dataset.for_training()
    except DatasetError as exc:
        what = exc.what.removeprefix(f"{dataset.root}: ")
        why = f"{what} {exc.why}"
        return [
            Finding(
                Level.ERROR, dataset.root, "splits", why, exc.fix, FindingKind.SPLITS
            )
        ]
    return []
