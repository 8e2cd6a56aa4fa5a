"""What a person sees of long work: bars on a terminal, plain lines elsewhere.

What the verbs that read a dataset have in common: a zip is unpacked visibly.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from trainer.data.archive import is_archive, unpacked

if TYPE_CHECKING:  # check shows progress, and loads no training library
    from trainer.detectors.weights import TransferReport
    from trainer.fit.engine import StepReport
    from trainer.fit.options import Recipe

LINE_EVERY_S = 10.0  # where there is no terminal


def say(text: str) -> None:
    """Print a line for people, on stderr.

    Args:
        text: Without a line end.
    """
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class Ticker:
    """A bar on a terminal, else a line every ten seconds.

    Args:
        title: What is going on.
        total: Number of ticks.
    """

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._said = self._begun = time.monotonic()
        self._progress: Progress | None = None
        if sys.stderr.isatty():
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._task = self._progress.add_task(title, total=total, note="")
            self._progress.start()

    def tick(self, done: int | None = None, note: str = "") -> None:
        """Show that one more, or ``done`` in all, are finished.

        Args:
            done: In all; None = one more.
            note: Shown behind.
        """
        self._done = self._done + 1 if done is None else done
        if self._progress:
            self._progress.update(self._task, completed=self._done, note=note)
            return
        now = time.monotonic()
        if now - self._said >= LINE_EVERY_S:
            self._said = now
            left_s = (now - self._begun) / self._done * (self._total - self._done)
            say(f"{self._title} {self._done}/{self._total} {note} {left_s:.0f} s left")

    def retotal(self, total: int) -> None:
        """Change how many there are.

        Args:
            total: Number of ticks.
        """
        self._total = total
        if self._progress:
            self._progress.update(self._task, total=total)

    def close(self) -> None:
        """End the bar."""
        if self._progress:
            self._progress.stop()
            self._progress = None


@contextmanager
def ticking(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar around some work.

    Args:
        title: What is going on.
        total: Number of ticks.

    Yields:
        Function to call after each item.
    """
    ticker = Ticker(title, total)
    try:
        yield ticker.tick
    finally:
        ticker.close()


class TerminalObserver:
    """Shows a training on stderr."""

    def __init__(self) -> None:
        self._ticker: Ticker | None = None
        self._loss = 0.0
        self._recent: list[tuple[float, int]] = []

    def begin(
        self, recipe: "Recipe", transfer: "TransferReport | None", steps: int
    ) -> None:
        """Say what is going to happen."""
        start = "random weights"
        if transfer:
            total = transfer.transferred + len(transfer.reset)
            start = (
                f"{recipe.weights} ({transfer.transferred} of {total} tensors grafted)"
            )
        length = f"{recipe.epochs} epochs, {steps} steps"
        if recipe.minutes is not None:
            length = f"{recipe.minutes:g} minutes"
        say(
            f"training {recipe.detector} ({recipe.activation}) from {start}: "
            f"{recipe.input_width_px} x {recipe.input_height_px} px, "
            f"{length} of {recipe.batch} photos a step"
        )
        if recipe.freeze == "trunk":
            say("the trunk stays as it came, neck and head learn")
        if recipe.tiles:
            say(f"each photo takes {recipe.tiles.count} inferences: {recipe.tiles}")
        self._ticker = Ticker("train", steps)

    def step(self, epoch: int, report: "StepReport") -> None:
        """Move the bar."""
        now = time.monotonic()
        self._recent = [*self._recent[-20:], (now, report.images)]
        elapsed = now - self._recent[0][0]
        speed = sum(n for _, n in self._recent[1:]) / elapsed if elapsed else 0.0
        first = self._loss == 0
        self._loss = report.loss if first else 0.95 * self._loss + 0.05 * report.loss
        note = f"epoch {epoch} loss {self._loss:.2f} {speed:.1f} photos/s"
        if report.map_50 is not None:
            note += f" mAP@.5 {report.map_50:.3f}"
        if self._ticker:
            if report.planned:
                self._ticker.retotal(report.planned)
            self._ticker.tick(report.step, note)

    def measuring(self, photos: int) -> Callable[[], None]:
        """Change to the bar of the validation."""
        self.close()
        self._ticker = Ticker("measure", photos)
        return self._ticker.tick

    def close(self) -> None:
        """End the bar, also after an error."""
        if self._ticker:
            self._ticker.close()


class SilentObserver:
    """Watches a training whose leader already tells of it."""

    def begin(
        self, recipe: "Recipe", transfer: "TransferReport | None", steps: int
    ) -> None:
        """Say nothing."""

    def step(self, epoch: int, report: "StepReport") -> None:
        """Say nothing."""

    def measuring(self, photos: int) -> Callable[[], None]:  # noqa: ARG002 (as the others)
        """Say nothing, photo by photo."""
        return self.close

    def close(self) -> None:
        """Say nothing."""


def unpack_visibly(dataset: Path) -> None:
    """Unpack a zip, with progress; what opens it afterwards finds it unpacked.

    Args:
        dataset: A folder, with which nothing is done, or a zip.

    Raises:
        DatasetError: The zip is damaged, harmful, or there is no room for it.
    """
    if not is_archive(dataset):
        return
    tickers: list[Ticker] = []

    def show(done: int, total: int) -> None:
        if not tickers:
            tickers.append(Ticker("unpack", total))
        tickers[0].tick(done)

    try:
        unpacked(dataset, show)
    finally:
        for ticker in tickers:
            ticker.close()
