"""From the arguments of ``train`` to training options."""

import argparse
from collections.abc import Callable
from dataclasses import replace

from models.errors import ConfigError
from models.manifest import ThresholdRule
from trainer.data.dataset import Dataset
from trainer.detectors import zoo
from trainer.detectors.names import Activation, Architecture
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.fit.checkpoint import stored_start
from trainer.fit.choices import DEFAULT_WEIGHTS, Freeze
from trainer.fit.earlier_run import refuse_other_network
from trainer.fit.options import TrainOptions
from trainer.fit.repeat import differences, open_repeat
from trainer.fit.tiling import TileMode
from trainer.run import open_run
from trainer.run_record import CHECKPOINT_NAME

# For photos of good parts alone; bench/unknown.py compares it with the detector's.
GOOD_PARTS_WEIGHTS = "efficientnet-lite0-imagenet"


def read_options(
    args: argparse.Namespace, dataset: Dataset, report: Callable[[str], None]
) -> TrainOptions:
    """Return the options of a training.

    Args:
        args: Passed by ``refuse_conflicts``.
        report: Called with each difference from a run that is repeated.

    Raises:
        ConfigError: The earlier run cannot be continued with these options.
        TrainingError: A run that was named cannot be opened.
    """
    if args.schedule:
        options = _repeated(args, dataset, report)
    else:
        options = _chosen(args, good_alone=dataset.has_good_parts_only)
    return replace(options, limit=_limit(args), unknown=args.unknown)


def _chosen(args: argparse.Namespace, *, good_alone: bool) -> TrainOptions:
    weights, detector = _start_of(args)
    if good_alone and not (args.weights or args.detector or args.earlier):
        weights, detector = GOOD_PARTS_WEIGHTS, _detector_of(GOOD_PARTS_WEIGHTS)
    freeze = args.freeze or Freeze.NOTHING
    options = TrainOptions(
        weights=weights,
        detector=detector,
        activation=args.activation or _activation(weights, detector, freeze),
        size_px=args.size,
        tiles=args.tiles or TileMode.AUTO,
        epochs=args.epochs,
        minutes=args.minutes,
        batch=args.batch,
        learning_rate=args.learning_rate,
        seed=args.seed or 0,
        freeze=freeze,
    )
    return _continued(args, options) if args.earlier else options


def _repeated(
    args: argparse.Namespace, dataset: Dataset, report: Callable[[str], None]
) -> TrainOptions:
    """Return the options that repeat a run, and report what differs from it."""
    repeat = open_repeat(args.schedule)
    for difference in differences(repeat, dataset):
        report(f"figures will differ from {repeat.name}: {difference}")
    return TrainOptions(weights=repeat.record.pretrained, repeats=repeat)


def _continued(args: argparse.Namespace, options: TrainOptions) -> TrainOptions:
    """Return the options with the network and the weights of the earlier run."""
    record = open_run(args.earlier).record
    if not record.named_labels:
        raise ConfigError(
            f"--from {record.name}: was made of good parts alone.",
            why="Nothing was trained in it that a training could continue from.",
            fix="Leave --from out: the class unknown is learned again with --unknown.",
        )
    refuse_other_network(record, args.detector, args.activation)
    return replace(
        options,
        weights=str(args.earlier.resolve()),
        detector=record.detector,
        activation=record.activation,
        earlier=args.earlier,
    )


def _start_of(args: argparse.Namespace) -> tuple[str, Architecture]:
    """Return the weights that training starts from, and their network."""
    if args.weights:
        return args.weights, args.detector or _detector_of(args.weights)
    if args.detector:
        return _shipped_for(args.detector), args.detector
    if args.resume and not args.earlier:
        # An earlier version may have begun it with another default.
        start = stored_start(args.out / CHECKPOINT_NAME)
        if start[0] in {zoo.NO_WEIGHTS, *zoo.entries()}:  # not a file, nor a run
            return start
    return DEFAULT_WEIGHTS, _detector_of(DEFAULT_WEIGHTS)


def _shipped_for(detector: Architecture) -> str:
    """Return the shipped weights that fit a network, else the default."""
    if _detector_of(DEFAULT_WEIGHTS) is detector:
        return DEFAULT_WEIGHTS
    for entry in zoo.entries().values():
        if entry.is_shipped and entry.detector is detector:
            return entry.name
    return DEFAULT_WEIGHTS  # refused when they are read, with what would fit


def _detector_of(weights: str) -> Architecture:
    """Return the network of weights with a name; YOLOX-nano for files."""
    entry = zoo.entries().get(weights)
    return entry.detector if entry else Architecture.YOLOX_NANO


def _activation(weights: str, detector: Architecture, freeze: Freeze) -> Activation:
    """Return the non-linearity of a training where none is given."""
    entry = zoo.entries().get(weights)
    if freeze is Freeze.BACKBONE and entry and entry.activation:
        return entry.activation  # a frozen backbone cannot adapt to another one
    return zoo.usual_activation(detector)


def _limit(args: argparse.Namespace) -> ErrorLimit | None:
    if args.max_overkill:
        return ErrorLimit(ThresholdRule.OVERKILL, args.max_overkill)
    if args.max_escape:
        return ErrorLimit(ThresholdRule.ESCAPES, args.max_escape)
    return None
