"""What the verbs of the workstation print on stdout."""

import json
import sys

from models.manifest import Metrics, Thresholds
from trainer.judge.threshold_words import threshold_words


def print_json(document: object) -> None:
    """Print the one JSON of a verb.

    Args:
        document: Plain values.
    """
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def print_metrics(metrics: Metrics, thresholds: Thresholds) -> None:
    """Print the figures that a quality engineer asks for.

    Args:
        metrics: Of a run or a package.
        thresholds: At which they hold.
    """

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
        f"{threshold_words(thresholds)}\n"
    )
