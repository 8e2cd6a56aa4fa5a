"""The verb ``check``: what is wrong with a dataset, before anybody trains on it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from models.errors import DatasetError
from trainer.cli.arguments import add_split_arguments, positive_int, split_wishes
from trainer.cli.output import SHOWN, PhotoBar, finding_lines, print_json
from trainer.cli.progress import ticking, unpack_visibly
from trainer.data.checks.check import CheckReport
from trainer.data.checks.repair import Repair
from trainer.data.checks.repaired_copy import RepairedCopy, write_repaired_copy
from trainer.report.check_page import write_check_page
from trainer.study.full_check import inspect


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``graftline check``."""
    parser.add_argument(
        "dataset", type=Path, help="folder of photos and labels, or a zip"
    )
    add_split_arguments(parser)
    parser.add_argument("--json", action="store_true", help="findings as JSON")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="page with the photos to write"
    )
    parser.add_argument(
        "--fix", type=Path, metavar="OUT", help="new folder for a repaired copy"
    )
    parser.add_argument(
        "--run", type=Path, help="run or package that looks at unlabelled photos"
    )
    parser.add_argument(
        "--size",
        type=positive_int,
        help="longer side of the input, pixels (default: what train would choose)",
    )


def run_check(args: argparse.Namespace) -> int:
    """Print every finding; the exit code is 4 where training would be wrong."""
    unpack_visibly(args.dataset)
    bar = PhotoBar()
    try:
        report = inspect(
            args.dataset,
            size_px=args.size,
            run=args.run,
            ticking=ticking,
            on_photo=bar,
            split=split_wishes(args),
        )
        if args.html:
            write_check_page(args.html, report)
        copy = write_repaired_copy(report, args.fix, bar) if args.fix else None
    finally:
        bar.close()
    if args.json:
        print_json(report.as_json() | (copy.as_json() if copy else {}))
    else:
        _print(report, copy, args.html)
    judged = copy.report if copy else report
    return DatasetError.exit_code if judged.errors else 0


def _print(report: CheckReport, copy: RepairedCopy | None, page: Path | None) -> None:
    """Print findings and counts, and those of the copy."""
    _print_report(report)
    if page:
        sys.stdout.write(f"page: {page}\n")
    if copy:
        sys.stdout.write(f"\n{_repairs(copy.repairs)}\n{copy.folder}:\n")
        _print_report(copy.report)


def _print_report(report: CheckReport) -> None:
    """Print the findings of one dataset and what it holds."""
    for line in finding_lines(report):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(_counts(report))


def _repairs(repairs: Sequence[Repair]) -> str:
    """Return what was repaired; in full what a person must still do."""
    lines = [str(repair) for repair in repairs if repair.left]
    others = [str(repair) for repair in repairs if not repair.left]
    lines += others[:SHOWN]
    if len(others) > SHOWN:
        lines.append(f"  and {len(others) - SHOWN:,} more that leave nothing to do")
    return "".join(f"{line}\n" for line in lines) or "nothing to repair\n"


def _counts(report: CheckReport) -> str:
    """Return what the dataset holds, one line for each split."""
    rows = [
        f"{name}: {len(photos)} photos, {sum(p.is_good for p in photos)} good, "
        f"{sum(len(p.labels) for p in photos)} boxes\n"
        for name, photos in report.dataset.splits.items()
    ]
    errors, others = len(report.errors), len(report.findings) - len(report.errors)
    return "".join(rows) + f"{errors} errors, {others} warnings\n"
