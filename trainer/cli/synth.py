"""The verb ``synth``: draws a dataset and a video of a line."""

import argparse
import json
import sys
from pathlib import Path

from models.counted import counted
from trainer.cli.progress import LateBar, print_status
from trainer.data.synthetic.line_writer import LineSettings, LineSummary, write_line

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
    report = _Report()
    try:
        summary = write_line(args.out, settings, report)
    finally:
        report.close()
    print(json.dumps(summary.as_json()) if args.json else _sentence(summary))
    return 0


class _Report:
    """Shows a bar for each kind of file; elsewhere a line when all are written."""

    def __init__(self) -> None:
        self._bars: dict[str, LateBar] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self._bars.setdefault(what, LateBar(what))(done, total)
        elif done == total:
            print_status(f"{what}: {total}")

    def close(self) -> None:
        """Remove the bar, also after an error."""
        for bar in self._bars.values():
            bar.close()


def _sentence(summary: LineSummary) -> str:
    settings = summary.settings
    verb = "already there" if summary.already_there else "written"
    return (
        f"{summary.out}: {verb}: {counted(settings.photos, 'labelled photo')}, "
        f"{counted(settings.good, 'good part')}, line.mp4 with "
        f"{counted(settings.parts, 'part')}, truth.json"
    )
