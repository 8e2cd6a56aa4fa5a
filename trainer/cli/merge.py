"""The verb ``merge``: an export of the dashboard into a dataset."""

import argparse
import sys
from pathlib import Path

from models.counted import counted
from models.errors import DatasetError
from trainer.cli.output import finding_lines, print_json, print_text
from trainer.cli.progress import LateBar, unpack_visibly
from trainer.data.findings import first_names
from trainer.data.merge import Merge, plan_merge, write_merge


def add_merge_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``graftline merge``."""
    parser.add_argument(
        "export",
        type=Path,
        help="zip of the dashboard's page Learning, or what an annotation tool made of "
        "it",
    )
    parser.add_argument(
        "dataset", type=Path, help="folder of photos and labels, or a zip"
    )
    parser.add_argument(
        "--out", type=Path, metavar="NEW", help="folder of the merged dataset to make"
    )
    parser.add_argument(
        "--accept-predictions",
        action="store_true",
        help="also take photos whose boxes only the model drew",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only print what would be merged"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON")


def run_merge(args: argparse.Namespace) -> int:
    """Merge, and print what was added and what was left out.

    Returns:
        0, or the exit code of a dataset error where the merged one has errors.

    Raises:
        DatasetError: One of the two cannot be read, or ``--out`` is missing.
        TrainingError: The folder cannot be written.
    """
    if args.out is None and not args.dry_run:
        raise DatasetError(
            "--out: missing.",
            why="The merged dataset is a new folder; nothing is changed in place.",
            fix="Give --out NEW, or --dry-run.",
        )
    for each in (args.export, args.dataset):
        unpack_visibly(each)
    bar = LateBar("read")
    try:
        merge = plan_merge(
            args.export,
            args.dataset,
            takes_predictions=args.accept_predictions,
            on_photo=bar,
        )
        report = None
        if not args.dry_run:
            report = write_merge(merge, args.export, args.out, bar)
    finally:
        bar.close()
    if args.json:
        check = report.as_json() if report else None
        print_json(merge.as_json() | {"check": check})
    else:
        _print(merge, is_dry=report is None)
        if report:
            for line in finding_lines(report):
                sys.stdout.write(f"{line}\n")
            errors, others = len(report.errors), len(report.findings)
            others -= errors
            print_text(
                f"{args.out}: {counted(errors, 'error')}, {counted(others, 'warning')}"
            )
    return DatasetError.exit_code if report and report.errors else 0


def _print(merge: Merge, *, is_dry: bool) -> None:
    total = sum(merge.added.values())
    verb = "would be added" if is_dry else "added"
    where = ", ".join(f"{count} to {name}" for name, count in merge.added.items())
    print_text(
        f"{counted(total, 'photo')} {verb}{f' ({where})' if where else ''}, "
        f"{merge.good} of them of good parts"
    )
    if merge.known:
        print_text(f"{counted(merge.known, 'photo')} already there")
    if merge.unchecked:
        print_text(
            f"{counted(merge.unchecked, 'photo')} left out: only the model drew the "
            "boxes. Judge or correct them, or give --accept-predictions."
        )
    if merge.unnamed:
        print_text(
            f"{counted(merge.unnamed, 'photo')} left out: no person has named a defect "
            "of the class unknown. Name it on the dashboard (other class), or in an "
            "annotation tool, and export again."
        )
    if merge.unlabelled:
        print_text(f"{counted(merge.unlabelled, 'photo')} left out: without a label")
    if merge.disputed:
        print_text(
            f"{counted(len(merge.disputed), 'photo')} left out: labelled otherwise in "
            f"the dataset: {first_names(merge.disputed)}"
        )
    for finding in merge.findings:
        print_text(f"in the export: {finding}")
