"""Looks at a dataset before anybody trains on it: what is wrong, where, and the fix."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from models.errors import DatasetError
from trainer.data.checks.boxes import duplicate_boxes, huge_boxes
from trainer.data.checks.labels import (
    one_sided_labels,
    rare_labels,
    similar_labels,
    too_few_good,
    untrainable,
)
from trainer.data.checks.photos import (
    colour_mix,
    near_duplicates_across_splits,
    odd_sizes,
    repeated_photos,
)
from trainer.data.dataset import Dataset, OnPhoto, open_dataset
from trainer.data.formats.kinds import Kind
from trainer.data.formats.rows import Finding, Level, printable
from trainer.data.splitting.split_record import SplitOptions

SHOWN = 5  # findings in an error message; check prints all


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a dataset holds and what was found.

    Attributes:
        dataset: As it would be trained on.
        findings: Errors first, those of one kind together.
    """

    dataset: Dataset
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make training wrong."""
        return tuple(f for f in self.findings if f.level is Level.ERROR)

    @property
    def by_kind(self) -> dict[Kind, list[Finding]]:
        """Findings of each kind, kinds with an error first."""
        kinds: dict[Kind, list[Finding]] = {}
        for finding in self.findings:
            kinds.setdefault(finding.kind, []).append(finding)
        return kinds

    def with_findings(self, findings: Iterable[Finding]) -> "CheckReport":
        """Return the report with more findings.

        Args:
            findings: That were made elsewhere.
        """
        return replace(self, findings=_ordered([*self.findings, *findings]))

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
    """Read a dataset and look for what would spoil a training.

    Args:
        root: Its folder.
        trains: It is to be trained on, not only to be measured with.
        on_photo: Told of every photo that was read.
        split: How to divide it.

    Returns:
        The report; the dataset in it is usable even where it has errors.

    Raises:
        DatasetError: There is no dataset, or none of its photos can be used.
    """
    dataset = open_dataset(root, on_photo, split=split)
    findings = [
        *dataset.findings,
        *duplicate_boxes(dataset),
        *huge_boxes(dataset),
        *repeated_photos(dataset),
        *near_duplicates_across_splits(dataset),
        *colour_mix(dataset),
        *odd_sizes(dataset),
        *rare_labels(dataset),
        *(one_sided_labels(dataset) if trains else ()),
        *similar_labels(dataset),
        *too_few_good(dataset),
        *(untrainable(dataset) if trains else ()),
    ]
    return CheckReport(dataset, _ordered(findings))


def _ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings, errors first, in the order of their kinds."""
    levels, kinds = list(Level), list(Kind)
    return tuple(
        sorted(findings, key=lambda f: (levels.index(f.level), kinds.index(f.kind)))
    )


def faultless_dataset(
    root: Path, *, trains: bool, split: SplitOptions | None = None
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
