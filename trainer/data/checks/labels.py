"""What is wrong with the classes of a dataset and how often they are shown."""

from collections import Counter

import numpy as np

from models.errors import DatasetError
from trainer.data.checks.boxes import photos_of
from trainer.data.dataset import Dataset
from trainer.data.formats.kinds import Kind
from trainer.data.formats.rows import Finding, Level

FEW_EXAMPLES = 10  # boxes of a class below which nobody can promise anything
FEW_GOOD = 30  # good parts to measure on, below which 2 % overkill cannot be shown


def rare_labels(dataset: Dataset) -> list[Finding]:
    """Return classes with few examples.

    Args:
        dataset: Opened.
    """
    boxes = box_counts(dataset)
    return [
        Finding(
            Level.WARNING,
            dataset.root,
            label,
            f"class {label!r} has {boxes[index]} boxes.",
            f"Label at least {FEW_EXAMPLES}, better 50.",
            Kind.RARE_LABEL,
        )
        for index, label in enumerate(dataset.labels)
        if boxes[index] < FEW_EXAMPLES
    ]


def box_counts(dataset: Dataset) -> Counter[int]:
    """Return how many boxes each class has, by its index.

    Args:
        dataset: Opened.
    """
    return Counter(int(label) for photo in photos_of(dataset) for label in photo.labels)


def one_sided_labels(dataset: Dataset) -> list[Finding]:
    """Return classes that are shown to the training or to the measurement only.

    Args:
        dataset: Opened.
    """
    try:
        sides = dataset.for_training()
    except DatasetError:  # ``untrainable`` says so
        return []
    trained, measured = (
        Counter(int(label) for photo in side for label in photo.labels)
        for side in sides
    )
    findings = []
    for index, label in enumerate(dataset.labels):
        if (trained[index] > 0) == (measured[index] > 0):
            continue
        why = (
            f"class {label!r} has {trained[index]} boxes to train on and "
            f"{measured[index]} to measure on: "
        )
        why += (
            "nobody can tell how well it is found."
            if trained[index]
            else "it is never learnt, and each of these counts as missed."
        )
        fix = "Label it in at least two parts, and put them on both sides."
        findings.append(
            Finding(Level.WARNING, dataset.root, label, why, fix, Kind.ONE_SIDED_LABEL)
        )
    return findings


def similar_labels(dataset: Dataset) -> list[Finding]:
    """Return class names that differ by case or space only.

    Args:
        dataset: Opened.
    """
    return [
        Finding(
            Level.ERROR,
            dataset.root,
            ", ".join(map(repr, names)),
            "class names differ by case or space only.",
            "Merge them in the annotation tool.",
            Kind.SIMILAR_LABELS,
        )
        for names in spellings(dataset)
        if len(names) > 1
    ]


def spellings(dataset: Dataset) -> list[list[str]]:
    """Return the class names, those together that differ by case or space only.

    Args:
        dataset: Opened.
    """
    by_form: dict[str, list[str]] = {}
    for label in dataset.labels:
        by_form.setdefault("".join(label.lower().split()), []).append(label)
    return list(by_form.values())


def too_few_good(dataset: Dataset) -> list[Finding]:
    """Say so when false alarms cannot be measured.

    Args:
        dataset: Opened.
    """
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
            Kind.FEW_GOOD,
        )
    ]


def untrainable(dataset: Dataset) -> list[Finding]:
    """Return why there is too little to train and to measure on, if so.

    Args:
        dataset: Opened.
    """
    try:
        dataset.for_training()
    except DatasetError as exc:
        what = exc.what.removeprefix(f"{dataset.root}: ")
        why = f"{what} {exc.why}"
        return [Finding(Level.ERROR, dataset.root, "splits", why, exc.fix, Kind.SPLITS)]
    return []
