"""What the verbs of the workstation print on stdout.

What a person reads of findings: each kind together, the first few in full.
"""

import json
import sys
from collections.abc import Iterator

from models.manifest import Metrics, Thresholds
from trainer.cli.progress import Ticker
from trainer.data.checks.check import CheckReport
from trainer.evaluation.thresholds.text import thresholds_text


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
        f"{thresholds_text(thresholds)}\n"
    )


SHOWN = 5  # findings of one kind on a terminal; --json has all


class PhotoBar:
    """A bar for photos that are read, made when their number is known."""

    def __init__(self) -> None:
        self._ticker: Ticker | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` photos are read."""
        if self._ticker is None:
            self._ticker = Ticker("read", total)
        self._ticker.tick(done)
        if done == total:
            self._ticker.close()
            self._ticker = None

    def close(self) -> None:
        """End the bar, also after an error."""
        if self._ticker:
            self._ticker.close()


def finding_lines(report: CheckReport) -> Iterator[str]:
    """Yield the findings, of each kind the first ones and how many follow.

    Args:
        report: Of a dataset.
    """
    for kind, findings in report.by_kind.items():
        yield from map(str, findings[:SHOWN])
        left = len(findings) - SHOWN
        if left > 0:
            yield f"  and {left:,} more: {kind.heading[0].lower()}{kind.heading[1:]}"
