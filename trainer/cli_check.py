"""The verb ``check``: what is wrong with a dataset. Loads no training library."""

import argparse
import sys
from pathlib import Path

from models.errors import DatasetError
from trainer.cli_print import print_json
from trainer.cli_split import add_split_arguments, split_wishes
from trainer.data.check import CheckReport, check_dataset


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``graftline check``."""
    parser.add_argument("dataset", type=Path, help="folder with photos and labels")
    add_split_arguments(parser)
    parser.add_argument("--json", action="store_true", help="findings as JSON")


def run_check(args: argparse.Namespace) -> int:
    """Print every finding; the exit code is 4 where training would be wrong."""
    report = check_dataset(args.dataset, split=split_wishes(args))
    if args.json:
        print_json(report.as_json())
    else:
        for finding in report.findings:
            sys.stdout.write(f"{finding}\n")
        sys.stdout.write(_counts(report))
    return DatasetError.exit_code if report.errors else 0


def _counts(report: CheckReport) -> str:
    """Return what the dataset holds, one line for each split."""
    rows = [
        f"{name}: {len(photos)} photos, {sum(p.is_good for p in photos)} good, "
        f"{sum(len(p.labels) for p in photos)} boxes\n"
        for name, photos in report.dataset.splits.items()
    ]
    errors, others = len(report.errors), len(report.findings) - len(report.errors)
    return "".join(rows) + f"{errors} errors, {others} warnings\n"
