"""The verb ``train``: fine-tunes a detector on a dataset."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.counted import counted
from models.errors import TrainingError
from models.files import require_room
from trainer.cli.arguments import (
    add_split_arguments,
    positive_float,
    positive_int,
    seed_int,
    share,
    split_options,
    tile_option,
)
from trainer.cli.options import (
    DEFAULT_WEIGHTS,
    read_options,
    refuse_training_options,
)
from trainer.cli.output import (
    bit_depth_line,
    finding_lines,
    print_json,
    print_metrics,
    print_text,
)
from trainer.cli.progress import (
    SilentObserver,
    TerminalObserver,
    print_status,
    unpack_visibly,
)
from trainer.cli.studies import add_study_arguments, prepare_studies, run_studies
from trainer.data.checks.check import faultless_dataset
from trainer.data.dataset import Dataset
from trainer.data.outputs import refuse_inside
from trainer.detectors.base import Architecture
from trainer.detectors.yolox_blocks import Activation
from trainer.evaluation.thresholds.limits import LEAST_GOOD, OVERKILL_TARGET
from trainer.fit import recipe
from trainer.fit.distributed.process_group import ProcessGroup
from trainer.fit.distributed.torchrun import run_distributed
from trainer.fit.freeze import Freeze
from trainer.fit.good_parts import train_on_good_parts
from trainer.fit.options import (
    BATCH,
    LEARNING_RATE,
    LOW_LEARNING_RATE,
    TrainOptions,
)
from trainer.fit.recipe import Outcome
from trainer.fit.tiling import TileMode
from trainer.fit.unknown_record import unknown_lines
from trainer.full_check import with_small_boxes
from trainer.report.document import Study
from trainer.report.page import write_report
from trainer.run import CHECKPOINT_NAME, RECORD_NAME, REPORT_NAME, unwritable

LEAST_BYTES = 1 << 20  # less is too little for any run; known before photos are read


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``graftline train``."""
    parser.add_argument(
        "dataset", type=Path, help="folder of photos and labels, or a zip"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the run to write"
    )
    parser.add_argument(
        "--weights",
        help="name or file of the pretrained weights, or none for random weights "
        f"(default: {DEFAULT_WEIGHTS}, or the shipped weights that fit --detector)",
    )
    parser.add_argument(
        "--from",
        dest="earlier",
        metavar="RUN",
        type=Path,
        help="continue from the weights of an earlier run: the same network, classes "
        "matched by name",
    )
    parser.add_argument(
        "--schedule",
        metavar="RUN",
        type=Path,
        help="repeat the recipe, seed and schedule of a run, to the step",
    )
    parser.add_argument(
        "--detector",
        type=Architecture,
        choices=list(Architecture),
        help="network (default: that of the weights)",
    )
    parser.add_argument(
        "--activation",
        type=Activation,
        choices=list(Activation),
        help="non-linearity (default: relu for graft, hardswish for yolox; with "
        "--freeze trunk that of the weights)",
    )
    parser.add_argument(
        "--size",
        type=positive_int,
        help="longer side of the model's input, pixels (default: chosen by the photos)",
    )
    _add_tiles(parser)
    _add_schedule(parser)
    parser.add_argument(
        "--unknown",
        action="store_true",
        help="add the class unknown: what no good part of the training shows (without "
        "any label it is the only class)",
    )
    _add_limits(parser)
    add_study_arguments(parser)
    add_split_arguments(parser)
    parser.add_argument(
        "--resume", action="store_true", help="continue an interrupted training"
    )
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")


def _add_schedule(parser: argparse.ArgumentParser) -> None:
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive_int, help="passes over the photos")
    length.add_argument(
        "--minutes",
        type=positive_float,
        help="time for the whole training, at most a tenth of it for measuring; where "
        "it is short, fewer photos are measured or the input is smaller, as printed",
    )
    parser.add_argument(
        "--batch",
        type=positive_int,
        help=f"photos per step (default: {BATCH}, fewer where memory is short)",
    )
    parser.add_argument(
        "--learning-rate",
        type=positive_float,
        help=f"highest learning rate (default: {LEARNING_RATE}, or {LOW_LEARNING_RATE} "
        "where defects are large in their photos)",
    )
    parser.add_argument(
        "--freeze",
        type=Freeze,
        choices=list(Freeze),
        help="trunk: freeze the backbone, and train only neck and head (default: "
        "nothing)",
    )
    parser.add_argument(
        "--seed", type=seed_int, help="seed of all random numbers (default: 0)"
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--max-overkill",
        type=share,
        metavar="SHARE",
        help="share of new good parts that may be alarmed on average, for example 1%% "
        f"(default: {OVERKILL_TARGET:.0%}% where there are {LEAST_GOOD} good parts to "
        "measure on)",
    )
    limits.add_argument(
        "--max-escape",
        type=share,
        metavar="SHARE",
        help="share of new defective parts that may escape on average, for example "
        "0.5%%",
    )


def _add_tiles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tiles",
        type=tile_option,
        metavar="auto|off|HxW",
        help="cut large photos into overlapping tiles, each one inference: auto where "
        "small defects would be lost (and --size is not given), off, or this size "
        "(default: auto)",
    )


def run_train(args: argparse.Namespace) -> int:
    """Fine-tune a detector and print its metrics."""
    return run_distributed(partial(_train, args, time.monotonic()))


def _train(args: argparse.Namespace, started_s: float, group: ProcessGroup) -> int:
    """Train in this process; only the leader of the group writes and prints."""
    if not args.resume:  # an earlier version let a run begin there
        refuse_inside(args.dataset, args.out, "--out")
    report_status = print_status if group.is_leader else _print_nothing
    with group.first_on_machine():
        unpack_visibly(args.dataset)
    report = faultless_dataset(args.dataset, trains=True, split=split_options(args))
    if group.is_leader:
        _prepare_folder(args.out, resume=args.resume)
    small = with_small_boxes(report, args.size, args.tiles or TileMode.AUTO)
    for line in finding_lines(small):
        report_status(line)
    if depth := bit_depth_line(report.dataset):
        report_status(depth)
    options = read_options(args, report.dataset, report_status)
    if report.dataset.has_good_parts_only:
        return _train_on_good_parts(args, options, report.dataset, group)
    prepare_studies(args, report.dataset, options, report_status)
    observer = TerminalObserver() if group.is_leader else SilentObserver()
    try:
        outcome = recipe.train(
            report.dataset,
            options,
            args.out,
            observer,
            resume=args.resume,
            started_s=started_s,
            group=group,
        )
    finally:
        observer.close()
    return _finish(args, options, report.dataset, outcome)


def _train_on_good_parts(
    args: argparse.Namespace,
    options: TrainOptions,
    dataset: Dataset,
    group: ProcessGroup,
) -> int:
    """Make a run whose only class is ``unknown``."""
    refuse_training_options(args)
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
    _write_report(args.out, dataset, outcome, ())
    record = outcome.run.record
    if args.json:
        print_json(record.model_dump(mode="json"))
        return 0
    print_metrics(record.metrics, record.thresholds)
    for line in unknown_lines(record.unknown) if record.unknown else ():
        print_text(line)
    print_text(f"report: {args.out / REPORT_NAME}")
    return 0


def _print_nothing(_: str) -> None:
    """Leave the output to the leader."""


def _finish(
    args: argparse.Namespace, options: TrainOptions, dataset: Dataset, outcome: Outcome
) -> int:
    _write_report(args.out, dataset, outcome, ())
    studies: list[Study] = []
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
        for line in unknown_lines(record.unknown) if record.unknown else ():
            print_text(line)
        for line in (line for study in studies for line in study.lines):
            print_text(line)
        print_text(f"report: {args.out / REPORT_NAME}")
    return 0


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


def _prepare_folder(out: Path, *, resume: bool) -> None:
    if not resume and any(
        (out / name).exists() for name in (RECORD_NAME, CHECKPOINT_NAME)
    ):
        raise TrainingError(
            f"{out}: there is a run already.",
            why="It would be overwritten.",
            fix="Continue it with --resume, or choose another folder with --out.",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        require_room(out, [LEAST_BYTES])
    except OSError as exc:
        raise unwritable(out, exc) from exc
