"""The verb ``train``: fine-tunes a detector on a dataset."""

import argparse
import os
import time
from pathlib import Path

from trainer.cli.arguments import (
    add_split_arguments,
    add_study_arguments,
    positive_float,
    positive_int,
    seed_int,
    share,
    tile_option,
)
from trainer.cli.progress import print_status
from trainer.cli.train_input import checked_dataset, refuse_conflicts
from trainer.detectors.names import Activation, Architecture
from trainer.evaluation.thresholds.limits import LEAST_GOOD, OVERKILL_TARGET
from trainer.fit.choices import (
    BATCH,
    DEFAULT_WEIGHTS,
    LEARNING_RATE,
    LOW_LEARNING_RATE,
    Freeze,
)


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
    _add_size(parser)
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


def _add_size(parser: argparse.ArgumentParser) -> None:
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--size",
        type=positive_int,
        help="longer side of the model's input, pixels (default: chosen by the photos)",
    )
    size.add_argument(
        "--budget-ms",
        type=positive_float,
        metavar="MS",
        help="time that a photo may take in the model, measured on this machine with "
        "OpenVINO before the training: the largest input within it is chosen (without "
        "INT8, which is often faster, and without the class unknown)",
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
    started_s, dataset = time.monotonic(), None
    refuse_conflicts(args)
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:  # torchrun's processes meet first
        dataset = checked_dataset(args, print_status, prepares=True)
    from trainer.cli.work.train import train  # noqa: PLC0415 - imports torch

    return train(args, dataset, started_s)
