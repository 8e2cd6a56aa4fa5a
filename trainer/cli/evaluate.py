"""The verb ``evaluate``: the same metrics for a run and every variant of a package."""

import argparse
from dataclasses import replace
from pathlib import Path

from models.manifest import VariantName
from models.pictures import FRAME_BITS
from trainer.cli.arguments import add_unlabelled_argument
from trainer.cli.output import bit_depth_line, finding_lines, print_json, print_metrics
from trainer.cli.progress import print_status, ticking, unpack_visibly
from trainer.data.checks.check import faultless_dataset
from trainer.data.outputs import refuse_inside
from trainer.data.splitting.split_record import SplitOptions, UnlabelledUse
from trainer.evaluation.evaluate import evaluate, open_model
from trainer.evaluation.leakage import parts_trained_by, without_trained
from trainer.report.page import refuse_foreign_figures, write_report


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
    if args.report:
        refuse_inside(args.dataset, args.report, "--report")
        refuse_foreign_figures(args.report)
    model = open_model(args.subject, args.variant)
    for notice in model.notices:
        print_status(notice)
    unpack_visibly(args.dataset)
    options = SplitOptions(
        unlabelled=args.unlabelled or UnlabelledUse.LEAVE_OUT,
        # A model of 8-bit photos: values above 255 are refused, as in the daemon.
        bit_depth=model.bit_depth or FRAME_BITS,
    )
    report = faultless_dataset(args.dataset, trains=False, split=options)
    for line in finding_lines(report):
        print_status(line)
    if depth := bit_depth_line(report.dataset):
        print_status(depth)
    dataset, note = report.dataset, ""
    if args.split is None:
        dataset, note = without_trained(dataset, args.subject)
    if note:
        print_status(note)
    _, photos = dataset.measured(args.split)
    with ticking("measure", len(photos)) as tick:
        outcome = evaluate(model, dataset, args.split, tick)
    known = parts_trained_by(args.subject, dataset, model.dataset_sha256, photos)
    outcome = replace(outcome, metrics=known.mask(outcome.metrics))
    for line in outcome.label_notes():
        print_status(line)
    if args.json:
        print_json(outcome.as_json())
    else:
        print_metrics(outcome.metrics, model.thresholds)
    # After the figures: a report that cannot be written loses none of them.
    if args.report:
        write_report(
            args.report,
            title=model.name,
            dataset=replace(dataset, labels=model.labels),
            photos=outcome.photos,
            found=outcome.found,
            thresholds=model.thresholds,
            metrics=outcome.metrics,
            record=None,
        )
    return 0
