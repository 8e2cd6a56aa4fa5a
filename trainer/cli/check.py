"""The verb ``check``: the faults of a dataset, before it is trained on."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from models.counted import counted
from models.errors import DatasetError
from models.shown_text import on_one_line
from trainer.cli.arguments import add_split_arguments, positive_int, split_options
from trainer.cli.output import SHOWN, bit_depth_line, finding_lines, print_json
from trainer.cli.progress import LateBar, ticking, unpack_visibly
from trainer.data.checks.check import CheckReport
from trainer.data.checks.good_parts import good_parts
from trainer.data.checks.repair import Repair
from trainer.data.checks.repaired_copy import RepairedCopy, write_repaired_copy
from trainer.data.outputs import refuse_inside
from trainer.full_check import run_full_check
from trainer.report.check_page import write_check_page


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``graftline check``."""
    parser.add_argument(
        "dataset", type=Path, help="folder of photos and labels, or a zip"
    )
    add_split_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the findings as JSON"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page that shows the photos"
    )
    parser.add_argument(
        "--fix", type=Path, metavar="OUT", help="write a repaired copy to a new folder"
    )
    parser.add_argument(
        "--run",
        type=Path,
        help="run or package to search for defects in photos without a label",
    )
    parser.add_argument(
        "--size",
        type=positive_int,
        help="longer side of the model's input, pixels (default: as train chooses)",
    )


def run_check(args: argparse.Namespace) -> int:
    """Check a dataset and print the findings.

    Returns:
        0, or the exit code of a dataset error where there are errors; with ``--fix``
        the copy decides.
    """
    for out, option in ((args.html, "--html"), (args.fix, "--fix")):
        if out:
            refuse_inside(args.dataset, out, option)
    unpack_visibly(args.dataset)
    bar = LateBar("read")
    try:
        report = run_full_check(
            args.dataset,
            size_px=args.size,
            run=args.run,
            progress_bar=ticking,
            on_photo=bar,
            split=split_options(args),
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
    decisive = copy.report if copy else report
    return DatasetError.exit_code if decisive.errors else 0


def _print(report: CheckReport, copy: RepairedCopy | None, page: Path | None) -> None:
    _print_report(report)
    if page:
        sys.stdout.write(f"page: {on_one_line(str(page))}\n")
    if copy:
        folder = on_one_line(str(copy.folder))
        sys.stdout.write(f"\n{_repairs(copy.repairs)}\n{folder}:\n")
        _print_report(copy.report)


def _print_report(report: CheckReport) -> None:
    for line in finding_lines(report):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(_counts(report))


def _repairs(repairs: Sequence[Repair]) -> str:
    """Return the first repairs, and all repairs that a person must complete."""
    lines = [str(repair) for repair in repairs if repair.left]
    others = [str(repair) for repair in repairs if not repair.left]
    lines += others[:SHOWN]
    if len(others) > SHOWN:
        lines.append(f"  and {len(others) - SHOWN:,} more that leave nothing to do")
    return "".join(f"{line}\n" for line in lines) or "nothing to repair\n"


def _counts(report: CheckReport) -> str:
    rows = [
        f"{name}: {counted(len(photos), 'photo')}, "
        f"{report.good_count(photos)} good, "
        f"{counted(sum(len(p.labels) for p in photos), 'box', 'boxes')}\n"
        for name, photos in report.dataset.splits.items()
    ]
    if depth := bit_depth_line(report.dataset):
        rows.append(f"{depth}\n")
    if report.dataset.bad:
        rows.append(
            f"bad: {counted(len(report.dataset.bad), 'photo')} of defective parts "
            "without boxes, only measured on\n"
        )
    if report.dataset.unlabelled:
        rows.append(
            f"left out: {counted(len(report.dataset.unlabelled), 'photo')}, "
            "unlabelled\n"
        )
    if good := good_parts(report.dataset):
        rows.append(f"{good}\n")
    errors, others = len(report.errors), len(report.findings) - len(report.errors)
    rows = [f"{on_one_line(row.rstrip())}\n" for row in rows]
    return "".join(rows) + f"{counted(errors, 'error')}, {counted(others, 'warning')}\n"
