"""Checks a dataset before it is trained on: what is wrong, where, and the fix."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from models.errors import DatasetError
from models.shown_text import printable
from trainer.data.checks.boxes import duplicate_boxes, huge_boxes
from trainer.data.checks.good_parts import good_parts
from trainer.data.checks.labels import (
    one_sided_labels,
    rare_labels,
    similar_labels,
    too_few_good,
    untrainable,
)
from trainer.data.checks.photos import (
    bit_depth_mix,
    black_photos,
    colour_mix,
    copies_in_bad,
    groups_of_pattern,
    mixed_sizes,
    near_contradictions,
    near_duplicates_across_splits,
    one_part,
    repeated_photos,
)
from trainer.data.dataset import Dataset, OnPhoto, Photo, open_dataset
from trainer.data.findings import Finding, FindingKind, Level
from trainer.data.splitting.split_record import SplitOptions

SHOWN_FINDINGS = 5  # in an error message; check prints all


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A dataset and what was found in it."""

    dataset: Dataset  # without the rows and photos that cannot be used
    findings: tuple[Finding, ...]  # errors first, those of one kind together

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make training wrong."""
        return tuple(f for f in self.findings if f.level is Level.ERROR)

    @property
    def by_kind(self) -> dict[FindingKind, list[Finding]]:
        """Findings of each kind, kinds with an error first."""
        kinds: dict[FindingKind, list[Finding]] = {}
        for finding in self.findings:
            kinds.setdefault(finding.kind, []).append(finding)
        return kinds

    def good_count(self, photos: Iterable[Photo]) -> int:
        """Return how many photos show good parts.

        A photo whose boxes were all refused has none left, but is no good part.
        """
        at_fault = _at_fault(self.dataset)
        return sum(photo.is_good and photo.path not in at_fault for photo in photos)

    def with_findings(self, findings: Iterable[Finding]) -> "CheckReport":
        """Return the report with more findings."""
        return replace(self, findings=_sorted([*self.findings, *findings]))

    def as_json(self) -> dict[str, object]:
        """Return the report as ``check --json`` prints it."""
        splits = {
            name: {
                "images": len(photos),
                "good_images": self.good_count(photos),
                "boxes": sum(len(photo.labels) for photo in photos),
            }
            for name, photos in self.dataset.splits.items()
        }
        return {
            "ok": not self.errors,
            "dataset": printable(str(self.dataset.root)),
            "sha256": self.dataset.sha256,
            "labels": list(self.dataset.labels),
            "bit_depth": self.dataset.bit_depth,
            "splits": splits,
            "bad_images": len(self.dataset.bad),
            "unlabelled": [
                printable(self.dataset.relative(photo.path))
                for photo in self.dataset.unlabelled
            ],
            "unknown": good.as_json() if (good := good_parts(self.dataset)) else None,
            "split": self.dataset.split_assignment.record.model_dump(mode="json"),
            "kinds": {kind.value: len(them) for kind, them in self.by_kind.items()},
            "findings": [finding.as_json() for finding in self.findings],
        }


def check_dataset(
    root: Path,
    *,
    trains: bool = True,
    on_photo: OnPhoto | None = None,
    split: SplitOptions | None = None,
) -> CheckReport:
    """Read a dataset and find what would make a training wrong or worse.

    Args:
        root: Its folder, or a zip of it.
        trains: It is to be trained on, not only to be measured with.
        split: How to divide it; None = by the defaults.

    Returns:
        The report; the dataset in it is usable even where it has errors.

    Raises:
        DatasetError: There is no dataset, or none of its photos can be used.
    """
    dataset = open_dataset(root, on_photo, split=split)
    if not dataset.photos:  # bad/ alone, to be measured with
        found = [*dataset.findings, *(untrainable(dataset) if trains else ())]
        return CheckReport(dataset, _sorted(found))
    at_fault = _at_fault(dataset)
    # Without the boxes that were refused, too few defects are no fault of their own.
    is_whole = all(photo.path not in at_fault for photo in dataset.without_boxes)
    findings = [
        *dataset.findings,
        *duplicate_boxes(dataset),
        *huge_boxes(dataset),
        *repeated_photos(dataset),
        *near_contradictions(dataset),
        *copies_in_bad(dataset),
        *near_duplicates_across_splits(dataset),
        *groups_of_pattern(dataset),
        *colour_mix(dataset),
        *bit_depth_mix(dataset),
        *black_photos(dataset),
        *mixed_sizes(dataset),
        *rare_labels(dataset),
        *(one_sided_labels(dataset) if trains else ()),
        *(one_part(dataset) if trains else ()),
        *similar_labels(dataset),
        *too_few_good(dataset),
        *(untrainable(dataset) if trains and is_whole else ()),
    ]
    return CheckReport(dataset, _sorted(findings))


def _at_fault(dataset: Dataset) -> set[Path]:
    """Return the photos that an error of reading is about."""
    errors = [f for f in dataset.findings if f.level is Level.ERROR]
    return {finding.photo or finding.file for finding in errors}


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings, errors first, in the order of their kinds."""
    levels, kinds = list(Level), list(FindingKind)
    return tuple(
        sorted(findings, key=lambda f: (levels.index(f.level), kinds.index(f.kind)))
    )


def faultless_dataset(
    root: Path, *, trains: bool, split: SplitOptions | None = None
) -> CheckReport:
    """Return the report of a dataset that may be trained on or measured with.

    Raises:
        DatasetError: It has errors; the message lists the first ones.
    """
    report = check_dataset(root, trains=trains, split=split)
    if report.errors:
        count = len(report.errors)
        first = " ".join(str(finding) for finding in report.errors[:SHOWN_FINDINGS])
        raise DatasetError(
            f"{root}: {count} error{'s' * (count > 1)} in the dataset.",
            why=first,
            fix=f"Fix them; `graftline check {root}` lists all.",
        )
    return report
