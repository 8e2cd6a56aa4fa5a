"""The verb ``demo``: every step from photos to alerts, on this machine."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.line import DemoLine, Summary
from demo.settings import DAY_ONE, DAY_ONE_LIMITS, DemoLimits, DemoSettings
from models.errors import ExitCode

_DEFAULTS = DemoSettings()


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline demo``."""
    parser.add_argument(
        "--out",
        type=Path,
        default=_DEFAULTS.out,
        metavar="FOLDER",
        help=f"everything is written into it (default {_DEFAULTS.out})",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="stop at the end instead of keeping the page up",
    )
    parser.add_argument(
        "--weights",
        default=_DEFAULTS.weights,
        help="as in train; none = random weights (default: that of train)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=_DEFAULTS.seed,
        metavar="N",
        help=f"other parts, other photos (default {_DEFAULTS.seed})",
    )
    parser.add_argument(
        "--day-one",
        action="store_true",
        help="with photos of good parts alone: nothing is labelled, and the only class "
        "is unknown",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the summary as one JSON"
    )


def run_demo(args: argparse.Namespace) -> int:
    """Run the demo.

    Raises:
        GraftlineError: A step failed, or the figures are outside the limits.
    """
    start, limits = _DEFAULTS, DemoLimits()
    if args.day_one:
        start, limits = DAY_ONE, DAY_ONE_LIMITS
    settings = replace(start, out=args.out, weights=args.weights, seed=args.seed)
    show = _print_on_stderr if args.json else print_line
    line = DemoLine(settings, limits, show)
    line.run(print_json if args.json else print_tables, keeps_page=not args.once)
    return ExitCode.OK


def print_line(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def _print_on_stderr(text: str) -> None:
    """Print a line; stdout is for the JSON alone."""
    print(text, file=sys.stderr, flush=True)


def print_json(summary: Summary) -> None:
    """Print the summary for programs."""
    print(json.dumps(summary), flush=True)


def print_tables(summary: Summary) -> None:
    """Print the summary for people."""
    Console(markup=False).print(_line_table(summary), _time_table(summary))


def _line_table(summary: Summary) -> Table:
    table = Table(title="The line", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    good, defective = summary["good_parts"], summary["defective_parts"]
    recall, share = summary["recall_of_defective_parts"], summary["false_alarm_share"]
    rows = {
        "parts inspected": f"{summary['parts']}",
        "defects on them": f"{summary['defects']}",
        "defective parts caught": f"{summary['caught']} of {defective} ({recall:.1%})",
        "defective parts missed": f"{summary['missed']}",
        "false alarms": f"{summary['false_alarms']} of {good} good ({share:.1%})",
        "alerts published": f"{summary['alerts_published']}",
        "alerts in the history": f"{summary['alerts_in_history']}",
        "duplicate alerts": f"{summary['duplicates']}",
        "frames/s": f"{summary['fps']:.1f}",
        "latency p50": f"{summary['latency_ms_p50']:.1f} ms",
        "latency p99": f"{summary['latency_ms_p99']:.1f} ms",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _time_table(summary: Summary) -> Table:
    """Return how long each step took."""
    table = Table(title="Time", show_header=False, show_footer=True)
    table.add_column(footer="all")
    table.add_column(justify="right", footer=f"{summary['seconds']:.0f} s")
    for name, seconds in summary["steps"].items():
        table.add_row(name, f"{seconds:.1f} s")
    return table
