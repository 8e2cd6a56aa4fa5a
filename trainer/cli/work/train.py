"""The work of ``train``: makes a run of photos that were checked."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.counted import counted
from trainer.cli.output import print_json, print_metrics, print_text
from trainer.cli.progress import (
    SilentObserver,
    TerminalObserver,
    print_status,
    unpack_visibly,
)
from trainer.cli.train_input import checked_dataset
from trainer.cli.work.latency import resumed_latency, within_latency
from trainer.cli.work.options import read_options
from trainer.cli.work.studies import prepare_studies, run_studies
from trainer.data.dataset import Dataset
from trainer.evaluation.thresholds.deciding import deciding_photos
from trainer.evaluation.thresholds.parts import PhotoOrigins
from trainer.fit import recipe
from trainer.fit.distributed.process_group import ProcessGroup
from trainer.fit.distributed.torchrun import run_distributed
from trainer.fit.good_parts import train_on_good_parts
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import Outcome
from trainer.label_errors.export import FOLDER_NAME as SUSPECTS
from trainer.label_errors.unlike_good import write_unlike_good
from trainer.report.deciding import deciding_study
from trainer.report.document import Study
from trainer.report.page import write_report
from trainer.run_record import CHECKPOINT_NAME, REPORT_NAME, RunRecord


def train(args: argparse.Namespace, dataset: Dataset | None, started_s: float) -> int:
    """Fine-tune a detector, print its metrics, and return the exit code.

    Args:
        dataset: Checked; None = each process of torchrun checks it.
        started_s: Monotonic clock at the start of the command.
    """
    return run_distributed(partial(_train, args, dataset, started_s))


def _train(
    args: argparse.Namespace,
    dataset: Dataset | None,
    started_s: float,
    group: ProcessGroup,
) -> int:
    """Train in this process; only the leader of the group writes and prints."""
    report_status = print_status if group.is_leader else _print_nothing
    if dataset is None:
        with group.first_on_machine():
            unpack_visibly(args.dataset)
        dataset = checked_dataset(args, report_status, prepares=group.is_leader)
    options = read_options(args, dataset, report_status)
    if dataset.has_good_parts_only:
        return _train_on_good_parts(args, options, dataset, group)
    if args.budget_ms and args.resume:
        options = resumed_latency(options, dataset, args.out / CHECKPOINT_NAME)
    elif args.budget_ms:
        options = within_latency(options, dataset, args.budget_ms, group, report_status)
    prepare_studies(args, dataset, options, report_status)
    observer = TerminalObserver() if group.is_leader else SilentObserver()
    try:
        outcome = recipe.train(
            dataset,
            options,
            args.out,
            observer,
            resume=args.resume,
            started_s=started_s,
            group=group,
        )
    finally:
        observer.close()
    return _finish(args, options, dataset, outcome)


def _train_on_good_parts(
    args: argparse.Namespace,
    options: TrainOptions,
    dataset: Dataset,
    group: ProcessGroup,
) -> int:
    """Make a run whose only class is ``unknown``."""
    group.leave_to_leader()
    photos = counted(dataset.photo_count, "photo")
    print_status(
        f"no labelled defect: learns the class unknown from {photos} of good parts"
    )
    observer = TerminalObserver()
    try:
        outcome = train_on_good_parts(dataset, options, args.out, observer)
    finally:
        observer.close()
    record = outcome.run.record
    write_unlike_good(args.out / SUSPECTS, dataset, record)
    _write_report(args.out, dataset, outcome, ())
    if args.json:
        print_json(record.model_dump(mode="json"))
        return 0
    print_metrics(record.metrics, record.thresholds)
    _print_unknown(args.out, record)
    print_text(f"report: {args.out / REPORT_NAME}")
    return 0


def _print_nothing(_: str) -> None:
    """Leave the output to the leader."""


def _finish(
    args: argparse.Namespace, options: TrainOptions, dataset: Dataset, outcome: Outcome
) -> int:
    if outcome.run.record.unknown:
        write_unlike_good(args.out / SUSPECTS, dataset, outcome.run.record)
    # With folds the threshold is chosen on all photos of the dataset.
    studies = [] if args.folds else _deciding(dataset, outcome)
    _write_report(args.out, dataset, outcome, studies)
    for study, changed in run_studies(args, dataset, options, outcome):
        outcome = changed
        studies.append(study)
        _write_report(args.out, dataset, outcome, studies)
    record = outcome.run.record
    if args.json:
        more = {study.name: study.document for study in studies}
        print_json(record.model_dump(mode="json") | more)
    else:
        print_metrics(record.metrics, record.thresholds)
        _print_unknown(args.out, record)
        for line in (line for study in studies for line in study.lines):
            print_text(line)
        print_text(f"report: {args.out / REPORT_NAME}")
    return 0


def _deciding(dataset: Dataset, outcome: Outcome) -> list[Study]:
    """Return the study of good parts that decide the threshold, where some do."""
    record = outcome.run.record
    trained_on = dataset.for_training()[0]
    deciding = deciding_photos(
        *(outcome.found, outcome.photos, record.thresholds),
        PhotoOrigins.of(dataset.split_assignment, outcome.photos, trained_on),
    )
    if deciding is None:
        return []
    return [deciding_study(replace(dataset, labels=record.labels), deciding)]


def _print_unknown(out: Path, record: RunRecord) -> None:
    """Print what ``unknown`` can and cannot see, where the run has this class."""
    if record.unknown is None:
        return
    for sentence in (*record.unknown.sees, *record.unknown.notes):
        print_text(sentence)
    print_text(f"good photos to check, with the place to label: {out / SUSPECTS}")


def _write_report(
    out: Path, dataset: Dataset, outcome: Outcome, studies: Sequence[Study]
) -> None:
    record = outcome.run.record
    write_report(
        out / REPORT_NAME,
        title=record.name,
        dataset=replace(dataset, labels=record.labels),  # `unknown` is in no dataset
        photos=outcome.photos,
        found=outcome.found,
        thresholds=record.thresholds,
        metrics=record.metrics,
        record=record,
        studies=studies,
    )
