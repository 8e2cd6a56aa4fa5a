"""The verb ``synth``: draws a dataset and a video of a line."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from trainer.data.synthetic.line_writer import (
    LineSettings,
    LineSummary,
    Report,
    write_line,
)

_DEFAULTS = LineSettings()


def add_synth_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``graftline synth``."""
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    numbers = {
        "seed": (_DEFAULTS.seed, "the same seed draws the same parts"),
        "photos": (_DEFAULTS.photos, "labelled photos, train and val together"),
        "good": (_DEFAULTS.good, "photos of good parts"),
        "parts": (_DEFAULTS.parts, "parts in the video"),
        "size": (_DEFAULTS.size_px, "side of photos and video in pixels"),
        "fps": (_DEFAULTS.fps, "frames per second of the video"),
    }
    for name, (default, meaning) in numbers.items():
        parser.add_argument(
            f"--{name}",
            type=int,
            default=default,
            metavar="N",
            help=f"{meaning} (default {default})",
        )
    parser.add_argument(
        "--json", action="store_true", help="print the summary as one JSON"
    )


def run_synth(args: argparse.Namespace) -> int:
    """Write the dataset and the video, and print a summary.

    Raises:
        ConfigError: A number is out of bounds.
        DatasetError: The folder holds something else, or cannot be written.
    """
    settings = LineSettings(
        seed=args.seed,
        photos=args.photos,
        good=args.good,
        parts=args.parts,
        size_px=args.size,
        fps=args.fps,
    )
    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console) as progress:
            summary = write_line(args.out, settings, _bar_report(progress))
    else:
        summary = write_line(args.out, settings, _plain_report)
    print(json.dumps(summary.as_json()) if args.json else _sentence(summary))
    return 0


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _bar_report(progress: Progress) -> Report:
    tasks = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = progress.add_task(what, total=total)
        progress.update(tasks[what], completed=done)

    return report


def _plain_report(what: str, done: int, total: int) -> None:
    """Print a line when all of one kind are written."""
    if done == total:
        print(f"{what}: {total}", file=sys.stderr, flush=True)


def _sentence(summary: LineSummary) -> str:
    settings = summary.settings
    verb = "already there" if summary.already_there else "written"
    return (
        f"{summary.out}: {verb}: {settings.photos} labelled photos, "
        f"{settings.good} good parts, line.mp4 with {settings.parts} parts, truth.json"
    )
