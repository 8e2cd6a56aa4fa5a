"""The verb ``train``: photos in, a run out."""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from models.errors import TrainingError
from trainer.cli.arguments import (
    add_split_arguments,
    positive_float,
    positive_int,
    seed_int,
    split_wishes,
    tiles_wish,
)
from trainer.cli.options import add_limits, read_wishes
from trainer.cli.output import finding_lines, print_json, print_metrics
from trainer.cli.progress import SilentObserver, TerminalObserver, say, unpack_visibly
from trainer.cli.studies import add_studies, prepare_studies, run_studies
from trainer.data.checks.check import faultless_dataset
from trainer.data.dataset import Dataset
from trainer.detectors.base import Architecture
from trainer.detectors.yolox_blocks import Activation
from trainer.fit import recipe
from trainer.fit.distributed.launch import run_in_team
from trainer.fit.distributed.process_group import ProcessGroup
from trainer.fit.frozen_trunk import Freeze
from trainer.fit.options import BATCH, LEARNING_RATE, TrainOptions
from trainer.fit.recipe import Outcome
from trainer.fit.tiling import TileMode
from trainer.report.document import Study
from trainer.report.page import write_report
from trainer.run import CHECKPOINT_NAME, RECORD_NAME, REPORT_NAME, unwritable
from trainer.study.full_check import with_small_boxes


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``graftline train``."""
    parser.add_argument(
        "dataset", type=Path, help="folder of photos and labels, or a zip"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--weights",
        help="name, file, or none (default: the shipped checkpoint)",
    )
    parser.add_argument(
        "--from",
        dest="earlier",
        metavar="RUN",
        type=Path,
        help="go on from an earlier run: its network, and its classes by name",
    )
    parser.add_argument(
        "--schedule",
        metavar="RUN",
        type=Path,
        help="repeat a run to the step: its recipe, seed and schedule",
    )
    parser.add_argument(
        "--detector", type=Architecture, choices=list(Architecture), help="network"
    )
    parser.add_argument(
        "--activation",
        type=Activation,
        choices=list(Activation),
        help="non-linearity (default: relu for graft, hardswish for yolox)",
    )
    parser.add_argument(
        "--size", type=positive_int, help="longer side of the input, pixels"
    )
    _add_tiles(parser)
    _add_schedule(parser)
    add_limits(parser)
    add_studies(parser)
    add_split_arguments(parser)
    parser.add_argument("--resume", action="store_true", help="go on where it stopped")
    parser.add_argument("--json", action="store_true", help="metrics as JSON")


def _add_schedule(parser: argparse.ArgumentParser) -> None:
    """Describe how long, how fast and what of the network is trained."""
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive_int, help="passes over the photos")
    length.add_argument(
        "--minutes",
        type=positive_float,
        help="time for everything, measuring included: as many steps as fit",
    )
    parser.add_argument(
        "--batch",
        type=positive_int,
        help=f"photos a step (default: {BATCH}, fewer where memory is short)",
    )
    parser.add_argument(
        "--learning-rate",
        type=positive_float,
        help=f"highest one (default: {LEARNING_RATE})",
    )
    parser.add_argument(
        "--freeze",
        type=Freeze,
        choices=list(Freeze),
        help="trunk: train only neck and head; the trunk's features of eight views a "
        "photo at most are computed once (default: nothing)",
    )
    parser.add_argument(
        "--seed", type=seed_int, help="of everything random (default: 0)"
    )


def _add_tiles(parser: argparse.ArgumentParser) -> None:
    """Describe how large photos are cut."""
    parser.add_argument(
        "--tiles",
        type=tiles_wish,
        metavar="auto|off|HxW",
        help="cut large photos into overlapping tiles, each one inference: where small "
        "defects would be lost (auto, without --size), never, or of this size",
    )


def run_train(args: argparse.Namespace) -> int:
    """Fine-tune a detector and print how good it became."""
    return run_in_team(partial(_train, args, time.monotonic()))


def _train(args: argparse.Namespace, begun_s: float, team: ProcessGroup) -> int:
    """Train in this process; only the leader writes and prints."""
    tell = say if team.is_leader else _say_nothing
    with team.first_on_machine():
        unpack_visibly(args.dataset)
    report = faultless_dataset(args.dataset, trains=True, split=split_wishes(args))
    if team.is_leader:
        _prepare(args.out, resume=args.resume)
    small = with_small_boxes(report, args.size, args.tiles or TileMode.AUTO)
    for line in finding_lines(small):
        tell(line)
    wishes = read_wishes(args, report.dataset, tell)
    prepare_studies(args, report.dataset, wishes, tell)
    observer = TerminalObserver() if team.is_leader else SilentObserver()
    try:
        outcome = recipe.train(
            report.dataset,
            wishes,
            args.out,
            observer,
            resume=args.resume,
            begun_s=begun_s,
            team=team,
        )
    finally:
        observer.close()
    return _finish(args, wishes, report.dataset, outcome)


def _say_nothing(_: str) -> None:
    """Leave it to the leader."""


def _finish(
    args: argparse.Namespace, wishes: TrainOptions, dataset: Dataset, outcome: Outcome
) -> int:
    """Write the report, do the studies that were asked for, and print."""
    record = outcome.run.record
    _write_report(args.out, dataset, outcome, ())
    studies: list[Study] = []
    for study in run_studies(args, dataset, wishes, outcome):
        studies.append(study)
        _write_report(args.out, dataset, outcome, studies)
    if args.json:
        more = {study.name: study.document for study in studies}
        print_json(record.model_dump(mode="json") | more)
    else:
        print_metrics(record.metrics, record.thresholds)
        for line in (line for study in studies for line in study.lines):
            sys.stdout.write(f"{line}\n")
        sys.stdout.write(f"report: {args.out / REPORT_NAME}\n")
    return 0


def _write_report(
    out: Path, dataset: Dataset, outcome: Outcome, studies: Sequence[Study]
) -> None:
    """Write the report of the run."""
    record = outcome.run.record
    write_report(
        out / REPORT_NAME,
        title=record.name,
        dataset=dataset,
        photos=outcome.photos,
        found=outcome.found,
        thresholds=record.thresholds,
        metrics=record.metrics,
        record=record,
        studies=studies,
    )


def _prepare(out: Path, *, resume: bool) -> None:
    """Make the run's folder, and refuse to write over another run."""
    if not resume and any(
        (out / name).exists() for name in (RECORD_NAME, CHECKPOINT_NAME)
    ):
        raise TrainingError(
            f"{out}: there is a run already.",
            why="It would be written over.",
            fix="Go on with --resume, or choose another folder with --out.",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as exc:
        raise unwritable(out, exc) from exc
