"""What a person reads of findings: each kind together, the first few in full."""

from collections.abc import Iterator

from trainer.cli_progress import Ticker
from trainer.data.check import CheckReport

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
