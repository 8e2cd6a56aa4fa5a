"""What was found in a dataset, short enough to compare in a test."""

from pathlib import Path

from trainer.data.dataset import open_dataset
from trainer.data.findings import Finding, Level


def errors_of(root: Path) -> list[Finding]:
    """Return the errors of a dataset."""
    return [f for f in open_dataset(root).findings if f.level is Level.ERROR]


def warnings_of(root: Path) -> list[Finding]:
    """Return the warnings of a dataset."""
    return [f for f in open_dataset(root).findings if f.level is Level.WARNING]
