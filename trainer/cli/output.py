"""Output of the verbs: JSON, metrics, and the findings of a dataset."""

import json
import sys
from collections.abc import Iterator

from models.manifest import Metrics, Thresholds
from trainer.data.checks.check import CheckReport
from trainer.data.dataset import Dataset
from trainer.evaluation.thresholds.text import thresholds_text

SHOWN = 5  # findings of one kind on a terminal; --json has all


def print_json(document: object) -> None:
    """Print the JSON document of a verb on stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def print_metrics(metrics: Metrics, thresholds: Thresholds) -> None:
    """Print the metrics, and the thresholds that they hold at, on stdout."""

    def share(value: float, interval: tuple[float, float]) -> str:
        return f"{value:6.1%}  ({interval[0]:.1%} to {interval[1]:.1%})"

    sys.stdout.write(
        f"{metrics.split}: {metrics.images} photos, {metrics.good_images} good\n"
        f"mAP@.33 {metrics.map_33:.3f}  @.5 {metrics.map_50:.3f}  "
        f"@.75 {metrics.map_75:.3f}  @.5:.95 {metrics.map_50_95:.3f}\n"
        f"defects found       {share(metrics.recall, metrics.recall_interval)}\n"
        f"right when reported {share(metrics.precision, metrics.precision_interval)}\n"
        f"parts escaped       {share(metrics.escapes, metrics.escapes_interval)}\n"
        f"good parts alarmed  {share(metrics.overkill, metrics.overkill_interval)}\n"
        f"{thresholds_text(thresholds)}\n"
    )


def bit_depth_line(dataset: Dataset) -> str:
    """Return how photos of more than 8 bits a channel are read; empty = none are."""
    photos = dataset.photos
    deep = sum(photo.bit_depth is not None for photo in photos)
    if not deep:
        return ""
    depth = dataset.bit_depth
    return (
        f"bit depth: {depth}, for {deep} of {len(photos)} photos with more than 8 bits "
        "a channel; pictures with higher values are refused"
    )


def finding_lines(report: CheckReport) -> Iterator[str]:
    """Yield the first findings of each kind, and the number of those left out."""
    for kind, findings in report.by_kind.items():
        yield from map(str, findings[:SHOWN])
        left = len(findings) - SHOWN
        if left > 0:
            yield f"  and {left:,} more: {kind.heading[0].lower()}{kind.heading[1:]}"
