"""What ``train`` refuses before a training library is loaded: options, photos, folder.

A typing error is reported at once; to import the libraries takes seconds.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from models.errors import ConfigError, TrainingError
from models.files import require_room
from trainer.cli.arguments import split_options
from trainer.cli.output import bit_depth_line, finding_lines
from trainer.cli.progress import unpack_visibly
from trainer.data.checks.check import faultless_dataset
from trainer.data.dataset import Dataset
from trainer.data.outputs import refuse_inside
from trainer.fit.tiling import TileMode
from trainer.full_check import with_small_boxes
from trainer.run_record import CHECKPOINT_NAME, RECORD_NAME, unwritable

RANDOM = "none"  # of --weights
LEAST_BYTES = 1 << 20  # less is too little for any run; known before photos are read
DECIDED_BY_RUN = (  # --schedule repeats them all, so none can be given beside it
    "weights",
    "earlier",
    "detector",
    "activation",
    "size",
    "budget_ms",
    "tiles",
    "epochs",
    "minutes",
    "batch",
    "learning_rate",
    "seed",
    "freeze",
)
NOT_FOR_GOOD_PARTS = (
    "earlier",
    "schedule",
    "resume",
    "epochs",
    "minutes",
    "freeze",
    "folds",
    "learning_curve",
    "compare",
    "batch",
    "learning_rate",
    "budget_ms",
)


def refuse_conflicts(args: argparse.Namespace) -> None:
    """Refuse options of ``train`` that exclude each other.

    Raises:
        ConfigError: Names the two.
    """
    if args.schedule:
        _refuse_beside_schedule(args)
    elif args.earlier and args.weights is not None:
        raise ConfigError(
            "--weights and --from exclude each other.",
            why="--from takes the weights of the earlier run.",
            fix="Leave one of them out.",
        )
    if args.unknown and (args.folds or args.learning_curve):
        study = "folds" if args.folds else "learning-curve"
        raise ConfigError(
            f"--unknown and --{study} exclude each other.",
            why="The further trainings have no class unknown.",
            fix=f"Train without --{study}, or without --unknown.",
        )


def checked_dataset(
    args: argparse.Namespace, report: Callable[[str], None], *, prepares: bool
) -> Dataset:
    """Return the photos of ``train`` after all that needs no training library.

    Args:
        report: Called with each line of findings.
        prepares: Make the folder of the run; of several processes one does.

    Raises:
        DatasetError: The photos have errors, or hold the folder of the run.
        ConfigError: An option that photos of good parts alone cannot have.
        TrainingError: There is a run already, or the folder cannot be written.
    """
    if not args.resume:  # an earlier version let a run begin there
        refuse_inside(args.dataset, args.out, "--out")
    unpack_visibly(args.dataset)
    checked = faultless_dataset(args.dataset, trains=True, split=split_options(args))
    if prepares:
        _prepare_folder(args.out, resume=args.resume)
    small = with_small_boxes(checked, args.size, args.tiles or TileMode.AUTO)
    for line in finding_lines(small):
        report(line)
    if depth := bit_depth_line(checked.dataset):
        report(depth)
    if checked.dataset.has_good_parts_only:
        _refuse_training_options(args)
    return checked.dataset


def _refuse_beside_schedule(args: argparse.Namespace) -> None:
    given = [name for name in DECIDED_BY_RUN if getattr(args, name) is not None]
    if given:
        option = _option(given[0])
        raise ConfigError(
            f"--{option} and --schedule {args.schedule} exclude each other.",
            why="A schedule repeats its run with all of its options.",
            fix=f"Leave one of them out; use --{option} in a new training.",
        )


def _refuse_training_options(args: argparse.Namespace) -> None:
    """Refuse options of a training where nothing is trained."""
    given = [name for name in NOT_FOR_GOOD_PARTS if getattr(args, name)]
    if args.max_escape:
        given.append("max_escape")
    if args.weights == RANDOM:
        raise ConfigError(
            "--weights none: not with photos of good parts alone.",
            why="Nothing is trained: a network of random weights sees no difference.",
            fix="Leave --weights out.",
        )
    if given:
        option = _option(given[0])
        raise ConfigError(
            f"--{option}: not with photos of good parts alone.",
            why="Nothing is trained without a labelled defect: the class unknown is "
            "learned from the good parts as they are.",
            fix=f"Leave --{option} out, or label defects.",
        )


def _option(name: str) -> str:
    """Return an option as it is typed, without its dashes."""
    return "from" if name == "earlier" else name.replace("_", "-")


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
