"""Progress on stderr: bars on a terminal, plain lines elsewhere."""

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

from models.counted import counted
from models.shown_text import on_one_line
from trainer.data.archive import is_archive, unpacked

if TYPE_CHECKING:  # check shows progress and must not load a training library
    from trainer.detectors.weights import TransferReport
    from trainer.fit.engine import StepReport
    from trainer.fit.options import Recipe

LINE_EVERY_S = 10.0  # where there is no terminal
# Their mean is shown. Steps, not pictures: a step has three times as many close-ups as
# whole photos, of about as many pixels.
SPEED_STEPS = 20


def print_status(text: str) -> None:
    """Print a line on stderr; names in it command no terminal and end no line."""
    sys.stderr.write(f"{on_one_line(text)}\n")
    sys.stderr.flush()


class Ticker:
    """A bar on a terminal, else a line every ``LINE_EVERY_S``."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._started_s = self._last_line_s = time.monotonic()
        self._before = 0  # done before, in time that is not known here
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
        """Show that one more, or ``done`` in all, are finished."""
        self._done = self._done + 1 if done is None else done
        if self._progress:
            self._progress.update(self._task, completed=self._done, note=note)
            return
        now_s = time.monotonic()
        if now_s - self._last_line_s >= LINE_EVERY_S:
            self._last_line_s = now_s
            each_s = (now_s - self._started_s) / (self._done - self._before)
            left_s = each_s * (self._total - self._done)
            print_status(
                f"{self._title} {self._done}/{self._total} {note} {left_s:.0f} s left"
            )

    def skip(self, done: int) -> None:
        """Start after items that were finished before this bar."""
        self._before = self._done = done

    def set_total(self, total: int) -> None:
        """Change the number of ticks."""
        self._total = total
        if self._progress:
            self._progress.update(self._task, total=total)

    def close(self) -> None:
        """Remove the bar."""
        if self._progress:
            self._progress.stop()
            self._progress = None


@contextmanager
def ticking(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar for some work.

    Yields:
        Function to call after each item.
    """
    ticker = Ticker(title, total)
    try:
        yield ticker.tick
    finally:
        ticker.close()


class LateBar:
    """A bar that opens when the number of items is known."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._ticker: Ticker | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` items are finished."""
        if self._ticker is None:
            self._ticker = Ticker(self._title, total)
        self._ticker.tick(done)
        if done == total:
            self._ticker.close()
            self._ticker = None

    def close(self) -> None:
        """Remove the bar, also after an error."""
        if self._ticker:
            self._ticker.close()


class TerminalObserver:
    """Shows a training on stderr."""

    def __init__(self) -> None:
        self._ticker: Ticker | None = None
        self._loss = 0.0
        self._recent_s: list[float] = []  # clock at the end of the latest steps

    def begin(
        self, recipe: "Recipe", transfer: "TransferReport | None", steps: int
    ) -> None:
        """Print what is trained, from what, and for how long."""
        start = "random weights"
        if transfer:
            total = transfer.transferred + len(transfer.reset)
            start = (
                f"{recipe.weights} ({transfer.transferred} of {total} tensors grafted)"
            )
        length = f"{counted(recipe.epochs, 'epoch')}, {counted(steps, 'step')}"
        if recipe.minutes is not None:
            length = counted(recipe.minutes, "minute")
        print_status(
            f"training {recipe.detector} ({recipe.activation}) from {start}: "
            f"{recipe.input_width_px} x {recipe.input_height_px} px, "
            f"{length} of {recipe.batch} photos a step"
        )
        if recipe.freeze == "trunk":
            print_status("the backbone is frozen, neck and head are trained")
        if recipe.tiles:
            print_status(
                f"each photo takes {counted(recipe.tiles.count, 'inference')}: "
                f"{recipe.tiles}"
            )
        self._ticker = Ticker("train", steps)

    def step(self, epoch: int, report: "StepReport") -> None:
        """Move the bar."""
        self._recent_s = [*self._recent_s[-SPEED_STEPS:], time.monotonic()]
        elapsed_s = self._recent_s[-1] - self._recent_s[0]
        speed = (len(self._recent_s) - 1) / elapsed_s if elapsed_s else 0.0
        is_first = self._loss == 0
        # single batches vary too much to be read: show a running average
        self._loss = report.loss if is_first else 0.95 * self._loss + 0.05 * report.loss
        note = f"epoch {epoch} loss {self._loss:.2f} {speed:.2f} steps/s"
        if report.map_50 is not None:
            note += f" mAP@.5 {report.map_50:.3f} {_measured_on(report)}"
        if self._ticker:
            if len(self._recent_s) == 1:  # more than 0 where a training resumes
                self._ticker.skip(report.step - 1)
            if report.planned:
                self._ticker.set_total(report.planned)
            self._ticker.tick(report.step, note)

    def reduced(self, text: str) -> None:
        """Print what a budget of minutes leaves out."""
        print_status(text)

    def measuring(self, photos: int) -> Callable[[], None]:
        """Replace the bar by that of the validation."""
        self.close()
        self._ticker = Ticker("measure", photos)
        return self._ticker.tick

    def close(self) -> None:
        """Remove the bar, also after an error."""
        if self._ticker:
            self._ticker.close()


def _measured_on(report: "StepReport") -> str:
    """Return on which photos mAP was measured: fewer give an estimate only."""
    photos = counted(report.map_photos, "photo")
    if report.map_photos < report.held_out:
        return f"(estimate on {report.map_photos} of {report.held_out} photos)"
    return f"(on all {photos} of the final measurement)"


class SilentObserver:
    """Ignores a training that another process of the group reports."""

    def begin(
        self, recipe: "Recipe", transfer: "TransferReport | None", steps: int
    ) -> None:
        """Print nothing."""

    def step(self, epoch: int, report: "StepReport") -> None:
        """Print nothing."""

    def reduced(self, text: str) -> None:
        """Print nothing."""

    def measuring(self, photos: int) -> Callable[[], None]:  # noqa: ARG002 (protocol)
        """Print nothing."""
        return self.close

    def close(self) -> None:
        """Print nothing."""


def unpack_visibly(dataset: Path) -> None:
    """Unpack a zip with a progress bar; opening it later finds it unpacked.

    Args:
        dataset: A zip; for a folder nothing is done.

    Raises:
        DatasetError: The zip is damaged or harmful, or the disk is full.
    """
    if not is_archive(dataset):
        return
    bar = LateBar("unpack")
    try:
        unpacked(dataset, bar)
    finally:
        bar.close()
