"""The work of ``evaluate``: measures a run or a package on photos that were checked."""

import argparse
from dataclasses import replace

from trainer.cli.output import print_json, print_metrics
from trainer.cli.progress import print_status, ticking
from trainer.data.dataset import Dataset
from trainer.evaluation.evaluate import evaluate, open_model
from trainer.evaluation.leakage import parts_trained_by, without_trained
from trainer.report.page import write_report


def measure(args: argparse.Namespace, dataset: Dataset) -> int:
    """Measure a model, print its metrics, and return the exit code."""
    model, note = open_model(args.subject, args.variant), ""
    for notice in model.notices:
        print_status(notice)
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
