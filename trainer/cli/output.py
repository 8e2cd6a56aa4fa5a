"""Output of the verbs: JSON, metrics, and the findings of a dataset."""

import json
import sys
from collections.abc import Iterator

from models.counted import counted
from models.manifest import MEAN_PRECISIONS, Metrics, Thresholds
from models.shown_text import on_one_line
from trainer.data.checks.check import CheckReport
from trainer.data.dataset import Dataset
from trainer.evaluation.text import area_text, precision_text, share_text
from trainer.evaluation.thresholds.text import thresholds_text

SHOWN = 5  # findings of one kind on a terminal; --json has all


def print_json(document: object) -> None:
    """Print the JSON document of a verb on stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def print_text(text: str) -> None:
    """Print a line on stdout; names in it command no terminal and end no line."""
    sys.stdout.write(f"{on_one_line(text)}\n")


def print_metrics(metrics: Metrics, thresholds: Thresholds) -> None:
    """Print the metrics, and the thresholds that they hold at, on stdout."""
    shares = {
        "defects found": share_text(metrics.recall, metrics.recall_interval),
        "right when reported": share_text(
            metrics.precision, metrics.precision_interval
        ),
        "parts escaped": share_text(metrics.escapes, metrics.escapes_interval),
        "good parts alarmed": share_text(metrics.overkill, metrics.overkill_interval),
        "area under ROC": area_text(metrics.auroc, metrics.auroc_interval),
    }
    map_33, map_50, map_75, map_50_95 = (
        precision_text(getattr(metrics, name)) for name in MEAN_PRECISIONS
    )
    photos = counted(metrics.images, "photo")
    bad = f", {metrics.bad_images} defective without boxes" * bool(metrics.bad_images)
    lines = [
        f"{metrics.split}: {photos}, {metrics.good_images} good{bad}",
        f"mAP@.33 {map_33}  @.5 {map_50}  @.75 {map_75}  @.5:.95 {map_50_95}",
        *(f"{name:19} {share}" for name, share in shares.items()),
        *([metrics.not_measured] if metrics.not_measured else []),
        thresholds_text(thresholds),
    ]
    for line in lines:
        print_text(line)


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
