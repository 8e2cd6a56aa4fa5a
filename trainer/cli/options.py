"""What the options of ``train`` ask for, and which of them exclude each other."""

import argparse
from collections.abc import Callable
from dataclasses import replace

from models.errors import ConfigError
from models.manifest import ThresholdRule
from trainer.cli.arguments import share
from trainer.data.dataset import Dataset
from trainer.detectors import zoo
from trainer.detectors.base import Architecture
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.fit.earlier_run import refuse_other_network
from trainer.fit.frozen_trunk import Freeze
from trainer.fit.options import LEARNING_RATE, TrainOptions
from trainer.fit.repeat import differences, open_repeat
from trainer.fit.tiling import TileMode
from trainer.run import open_run

SHIPPED_WEIGHTS = "graft-n-synthetic"
DECIDED_BY_RUN = (
    "weights",
    "earlier",
    "detector",
    "activation",
    "size",
    "tiles",
    "epochs",
    "minutes",
    "batch",
    "learning_rate",
    "seed",
    "freeze",
)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Describe the two limits of errors, of which one can be given.

    Args:
        parser: Of ``train``.
    """
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--max-overkill",
        type=share,
        metavar="SHARE",
        help="good parts that may be alarmed, for example 1%% (default: 2%% where "
        "there are 30 good parts to measure on)",
    )
    limits.add_argument(
        "--max-escape",
        type=share,
        metavar="SHARE",
        help="defective parts that may pass unseen, for example 0.5%%",
    )


def read_wishes(
    args: argparse.Namespace, dataset: Dataset, tell: Callable[[str], None]
) -> TrainOptions:
    """Return what was asked for.

    Args:
        args: Parsed options of ``train``.
        dataset: To train on.
        tell: Told what will differ from a run that is repeated.

    Raises:
        ConfigError: Options that exclude each other.
        TrainingError: A run that was named cannot be opened.
    """
    wishes = _repeating(args, dataset, tell) if args.schedule else _choosing(args)
    return replace(wishes, limit=_limit(args))


def _choosing(args: argparse.Namespace) -> TrainOptions:
    """Return the wish of a training of its own."""
    weights = args.weights or SHIPPED_WEIGHTS
    detector = args.detector or _detector_of(weights)
    wishes = TrainOptions(
        weights=weights,
        detector=detector,
        activation=args.activation or zoo.usual_activation(detector),
        size_px=args.size,
        tiles=args.tiles or TileMode.AUTO,
        epochs=args.epochs,
        minutes=args.minutes,
        batch=args.batch,
        learning_rate=args.learning_rate or LEARNING_RATE,
        seed=args.seed or 0,
        freeze=args.freeze or Freeze.NOTHING,
    )
    return _continuing(args, wishes) if args.earlier else wishes


def _repeating(
    args: argparse.Namespace, dataset: Dataset, tell: Callable[[str], None]
) -> TrainOptions:
    """Return the wish to repeat a run; say what is not as it was."""
    given = [name for name in DECIDED_BY_RUN if getattr(args, name) is not None]
    if given:
        option = "from" if given[0] == "earlier" else given[0].replace("_", "-")
        raise ConfigError(
            f"--{option} and --schedule {args.schedule} exclude each other.",
            why="A schedule repeats its run, and with it every choice.",
            fix=f"Leave one of them out; --{option} needs a training of its own.",
        )
    repeat = open_repeat(args.schedule)
    for difference in differences(repeat, dataset):
        tell(f"figures will differ from {repeat.name}: {difference}")
    return TrainOptions(weights=repeat.record.pretrained, repeats=repeat)


def _continuing(args: argparse.Namespace, wishes: TrainOptions) -> TrainOptions:
    """Return the wish to go on from a run: its network, its weights."""
    if args.weights is not None:
        raise ConfigError(
            "--weights and --from exclude each other.",
            why="--from takes the weights of the earlier run.",
            fix="Leave one of them out.",
        )
    record = open_run(args.earlier).record
    refuse_other_network(record, args.detector, args.activation)
    return replace(
        wishes,
        weights=str(args.earlier.resolve()),
        detector=record.detector,
        activation=record.activation,
        earlier=args.earlier,
    )


def _detector_of(weights: str) -> Architecture:
    """Return the network that named weights are of; YOLOX-nano for files."""
    entry = zoo.entries().get(weights)
    return entry.detector if entry else Architecture.YOLOX_NANO


def _limit(args: argparse.Namespace) -> ErrorLimit | None:
    """Return the limit that was given."""
    if args.max_overkill:
        return ErrorLimit(ThresholdRule.OVERKILL, args.max_overkill)
    if args.max_escape:
        return ErrorLimit(ThresholdRule.ESCAPES, args.max_escape)
    return None
