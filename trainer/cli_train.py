"""The verb ``train``: photos in, a run out."""

import argparse
import sys
from functools import partial
from pathlib import Path

from models.errors import TrainingError
from trainer.cli_arguments import positive_float, positive_int, seed_int
from trainer.cli_print import print_json, print_metrics
from trainer.cli_progress import SilentObserver, TerminalObserver, say
from trainer.data.check import faultless_dataset
from trainer.detectors import zoo
from trainer.detectors.base import Architecture
from trainer.detectors.yolox_blocks import Activation
from trainer.fit import recipe
from trainer.fit.distributed import run_in_team
from trainer.fit.frozen_trunk import Freeze
from trainer.fit.recipe import Wishes
from trainer.fit.team import Team
from trainer.judge.report import write_report
from trainer.run import CHECKPOINT_NAME, RECORD_NAME, REPORT_NAME, unwritable

SHIPPED_WEIGHTS = "graftline-synthetic-nano"


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``graftline train``."""
    parser.add_argument("dataset", type=Path, help="folder with photos and labels")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--weights",
        default=SHIPPED_WEIGHTS,
        help="name, file, or none (default: the shipped checkpoint)",
    )
    parser.add_argument(
        "--detector", type=Architecture, choices=list(Architecture), help="network"
    )
    parser.add_argument(
        "--activation",
        type=Activation,
        choices=list(Activation),
        default=Activation.HARDSWISH,
        help="non-linearity (default: hardswish, which INT8 likes)",
    )
    parser.add_argument(
        "--size", type=positive_int, help="longer side of the input, pixels"
    )
    parser.add_argument("--epochs", type=positive_int, help="passes over the photos")
    parser.add_argument(
        "--batch", type=positive_int, default=recipe.BATCH, help="photos a step"
    )
    parser.add_argument(
        "--learning-rate", type=positive_float, default=recipe.LEARNING_RATE
    )
    parser.add_argument(
        "--freeze",
        type=Freeze,
        choices=list(Freeze),
        default=Freeze.NOTHING,
        help="trunk: train only neck and head; the trunk's features of eight views a "
        "photo at most are computed once (default: nothing)",
    )
    parser.add_argument("--seed", type=seed_int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on where it stopped")
    parser.add_argument("--json", action="store_true", help="metrics as JSON")


def run_train(args: argparse.Namespace) -> int:
    """Fine-tune a detector and print how good it became."""
    return run_in_team(partial(_train, args))


def _train(args: argparse.Namespace, team: Team) -> int:
    """Train in this process; only the leader writes and prints."""
    report = faultless_dataset(args.dataset, trains=True)
    if team.is_leader:
        _prepare(args.out, resume=args.resume)
        for finding in report.findings:
            say(str(finding))
    wishes = Wishes(
        weights=args.weights,
        detector=args.detector or _detector_of(args.weights),
        activation=args.activation,
        size_px=args.size,
        epochs=args.epochs,
        batch=args.batch,
        learning_rate=args.learning_rate,
        seed=args.seed,
        freeze=args.freeze,
    )
    observer = TerminalObserver() if team.is_leader else SilentObserver()
    try:
        outcome = recipe.train(
            report.dataset, wishes, args.out, observer, resume=args.resume, team=team
        )
    finally:
        observer.close()
    record = outcome.run.record
    write_report(
        args.out / REPORT_NAME,
        title=record.name,
        dataset=report.dataset,
        photos=outcome.photos,
        found=outcome.found,
        thresholds=record.thresholds,
        metrics=record.metrics,
        record=record,
    )
    if args.json:
        print_json(record.model_dump(mode="json"))
    else:
        print_metrics(record.metrics, record.thresholds)
        sys.stdout.write(f"report: {args.out / REPORT_NAME}\n")
    return 0


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


def _detector_of(weights: str) -> Architecture:
    """Return the network that named weights are of; YOLOX-nano for files."""
    entry = zoo.entries().get(weights)
    return entry.detector if entry else Architecture.YOLOX_NANO
