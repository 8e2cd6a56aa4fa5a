"""The verbs of the workstation: check, train, evaluate, pack."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from models.errors import TrainingError
from models.manifest import Metrics, Thresholds, VariantName
from trainer.cli_progress import TerminalObserver, say, ticking
from trainer.data.check import CheckReport, check_dataset, dataset_for_training
from trainer.data.dataset import open_dataset
from trainer.detectors import zoo
from trainer.detectors.base import Architecture
from trainer.detectors.yolox_blocks import Activation
from trainer.fit import recipe
from trainer.fit.recipe import Wishes
from trainer.judge.evaluate import evaluate, open_subject
from trainer.judge.report import write_report
from trainer.run import (
    CHECKPOINT_NAME,
    RECORD_NAME,
    REPORT_NAME,
    open_run,
    unwritable,
)
from trainer.ship.pack import pack_run

SHIPPED_WEIGHTS = "graftline-synthetic-nano"


def _print_json(document: object) -> None:
    """Print the one JSON of a verb."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``graftline check``."""
    parser.add_argument("dataset", type=Path, help="folder with photos and labels")
    parser.add_argument("--json", action="store_true", help="findings as JSON")


def run_check(args: argparse.Namespace) -> int:
    """Print every finding; the exit code is 4 where training would be wrong."""
    report = check_dataset(args.dataset)
    if args.json:
        _print_json(report.as_json())
    else:
        for finding in report.findings:
            sys.stdout.write(f"{finding}\n")
        sys.stdout.write(_counts(report))
    return 4 if report.errors else 0


def _counts(report: CheckReport) -> str:
    """Return what the dataset holds, one line for each split."""
    rows = [
        f"{name}: {len(photos)} photos, {sum(p.is_good for p in photos)} good, "
        f"{sum(len(p.labels) for p in photos)} boxes\n"
        for name, photos in report.dataset.splits.items()
    ]
    errors, others = len(report.errors), len(report.findings) - len(report.errors)
    return "".join(rows) + f"{errors} errors, {others} warnings\n"


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
    parser.add_argument("--size", type=int, help="longer side of the input, pixels")
    parser.add_argument("--epochs", type=int, help="passes over the photos")
    parser.add_argument("--batch", type=int, default=recipe.BATCH, help="photos a step")
    parser.add_argument("--learning-rate", type=float, default=recipe.LEARNING_RATE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on where it stopped")
    parser.add_argument("--json", action="store_true", help="metrics as JSON")


def run_train(args: argparse.Namespace) -> int:
    """Fine-tune a detector and print how good it became."""
    _prepare(args.out, resume=args.resume)
    report = dataset_for_training(args.dataset)
    for finding in report.findings:
        say(str(finding))
    wishes = Wishes(
        args.weights,
        args.detector or _detector_of(args.weights),
        args.activation,
        args.size,
        args.epochs,
        args.batch,
        args.learning_rate,
        args.seed,
    )
    observer = TerminalObserver()
    try:
        outcome = recipe.train(
            report.dataset, wishes, args.out, observer, resume=args.resume
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
        _print_json(record.model_dump(mode="json"))
    else:
        sys.stdout.write(_summary(record.metrics, record.thresholds))
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


def _summary(metrics: Metrics, thresholds: Thresholds) -> str:
    """Return the figures that a quality engineer asks for."""

    def share(value: float, interval: tuple[float, float]) -> str:
        return f"{value:6.1%}  ({interval[0]:.1%} to {interval[1]:.1%})"

    return (
        f"{metrics.split}: {metrics.images} photos, {metrics.good_images} good\n"
        f"mAP@.33 {metrics.map_33:.3f}  @.5 {metrics.map_50:.3f}  "
        f"@.75 {metrics.map_75:.3f}  @.5:.95 {metrics.map_50_95:.3f}\n"
        f"defects found       {share(metrics.recall, metrics.recall_interval)}\n"
        f"right when reported {share(metrics.precision, metrics.precision_interval)}\n"
        f"parts escaped       {share(metrics.escapes, metrics.escapes_interval)}\n"
        f"good parts alarmed  {share(metrics.overkill, metrics.overkill_interval)}\n"
        f"thresholds: {thresholds.rule}\n"
    )


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``graftline evaluate``."""
    parser.add_argument("subject", type=Path, help="run or package")
    parser.add_argument("dataset", type=Path, help="folder with photos and labels")
    parser.add_argument("--split", help="default: val if there is one, else everything")
    parser.add_argument(
        "--variant", type=VariantName, choices=list(VariantName), help="of a package"
    )
    parser.add_argument("--report", type=Path, help="HTML file to write")
    parser.add_argument("--json", action="store_true", help="metrics as JSON")


def run_evaluate(args: argparse.Namespace) -> int:
    """Measure a run or a package."""
    subject = open_subject(args.subject, args.variant)
    dataset = open_dataset(args.dataset)
    _, photos = dataset.split(args.split)
    with ticking("measure", len(photos)) as tick:
        outcome = evaluate(subject, dataset, args.split, tick)
    if args.report:
        write_report(
            args.report,
            title=subject.name,
            dataset=replace(dataset, labels=subject.labels),
            photos=outcome.photos,
            found=outcome.found,
            thresholds=subject.thresholds,
            metrics=outcome.metrics,
            record=None,
        )
    if args.json:
        _print_json(outcome.as_json())
    else:
        sys.stdout.write(_summary(outcome.metrics, subject.thresholds))
    return 0


def add_pack_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``graftline pack``."""
    parser.add_argument("run", type=Path, help="from graftline train")
    parser.add_argument("--out", type=Path, required=True, help="package to write")
    parser.add_argument("--dataset", type=Path, help="where the photos are now")
    parser.add_argument("--name", help="of the model (default: the run's)")
    parser.add_argument("--no-int8", action="store_true", help="leave INT8 out")
    parser.add_argument("--json", action="store_true", help="outcome as JSON")


def run_pack(args: argparse.Namespace) -> int:
    """Export, quantize and seal a package."""
    run = open_run(args.run)
    dataset = open_dataset(args.dataset or Path(run.record.dataset))
    report = pack_run(
        run,
        dataset,
        args.out,
        on_progress=say,
        int8=not args.no_int8,
        name=args.name,
    )
    if args.json:
        _print_json(report.as_json())
    else:
        sys.stdout.write(f"{report}\n")
    return 0
