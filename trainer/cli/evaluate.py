"""The verb ``evaluate``: the same metrics for a run and every variant of a package."""

import argparse
from pathlib import Path

from models.manifest import MANIFEST_NAME, VariantName
from models.package import open_package
from models.pictures import FRAME_BITS
from trainer.cli.arguments import add_unlabelled_argument
from trainer.cli.output import bit_depth_line, finding_lines
from trainer.cli.progress import print_status, unpack_visibly
from trainer.data.checks.check import faultless_dataset
from trainer.data.dataset import Dataset
from trainer.data.outputs import refuse_inside
from trainer.data.splitting.split_record import SplitOptions, UnlabelledUse
from trainer.report.page import refuse_foreign_figures
from trainer.run_record import read_record


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``graftline evaluate``."""
    parser.add_argument("subject", type=Path, help="run or package")
    parser.add_argument(
        "dataset", type=Path, help="folder of photos and labels, or a zip"
    )
    parser.add_argument(
        "--split", help="split to evaluate (default: val if there is one, else all)"
    )
    parser.add_argument(
        "--variant",
        type=VariantName,
        choices=list(VariantName),
        help="variant of a package",
    )
    add_unlabelled_argument(parser)
    parser.add_argument("--report", type=Path, help="HTML report to write")
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")


def run_evaluate(args: argparse.Namespace) -> int:
    """Measure a run or a package."""
    dataset = _checked_dataset(args)
    from trainer.cli.work.evaluate import measure  # noqa: PLC0415 - imports torch

    return measure(args, dataset)


def _checked_dataset(args: argparse.Namespace) -> Dataset:
    """Return the photos to measure on, and print what is wrong with them.

    Raises:
        TrainingError: No such run, or no report can be written where it should be.
        PackageError: The package is damaged.
        DatasetError: The photos have errors.
    """
    if args.report:
        refuse_inside(args.dataset, args.report, "--report")
        refuse_foreign_figures(args.report)
    bit_depth = _bit_depth(args.subject)
    unpack_visibly(args.dataset)
    options = SplitOptions(
        unlabelled=args.unlabelled or UnlabelledUse.LEAVE_OUT,
        # A model of 8-bit photos: values above 255 are refused, as in the daemon.
        bit_depth=bit_depth or FRAME_BITS,
    )
    report = faultless_dataset(args.dataset, trains=False, split=options)
    for line in finding_lines(report):
        print_status(line)
    if depth := bit_depth_line(report.dataset):
        print_status(depth)
    return report.dataset


def _bit_depth(subject: Path) -> int | None:
    """Return the bits of the photos that a model was trained on; None = 8."""
    if (subject / MANIFEST_NAME).exists():
        return open_package(subject).manifest.input.bit_depth
    return read_record(subject).bit_depth
