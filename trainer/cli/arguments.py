"""Types of values on the command line, the options of a split, and of studies.

A value out of its bounds is a usage error.
"""

import argparse
import math
import re
from pathlib import Path

from models.pictures import BIT_DEPTHS
from trainer.data.paths import shown
from trainer.data.splitting.group_pattern import compiled
from trainer.data.splitting.split_record import (
    SplitOptions,
    UnlabelledUse,
    read_split_record,
)
from trainer.fit.tiling import TileMode, TileOption

GOAL_RECALL = 0.95
LARGEST_SEED = 2**32 - 1  # the largest one that every random generator accepts


def positive_int(text: str) -> int:
    """Return a whole number of 1 or more."""
    return _bounded_int(text, 1, None)


def fold_int(text: str) -> int:
    """Return a number of folds, 2 or more."""
    return _bounded_int(text, 2, None)


def seed_int(text: str) -> int:
    """Return a seed, 0 to 2**32 - 1."""
    return _bounded_int(text, 0, LARGEST_SEED)


def _bounded_int(text: str, least: int, most: int | None) -> int:
    bounds = f"of {least} or more" if most is None else f"from {least} to {most}"
    message = f"expected a whole number {bounds}, got {text!r}"
    try:
        value = int(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(message) from exc
    if value < least or (most is not None and value > most):
        raise argparse.ArgumentTypeError(message)
    return value


def positive_float(text: str) -> float:
    """Return a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        message = f"expected a number above 0, got {text!r}"
        raise argparse.ArgumentTypeError(message)
    return value


def share(text: str) -> float:
    """Return a share above 0 and below 1, typed as 1% or 0.01."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        message = f"expected a share such as 1% or 0.01, got {text!r}"
        raise argparse.ArgumentTypeError(message)
    return value


def tile_option(text: str) -> TileOption:
    """Return whether to cut photos into tiles, or the tiles' height and width."""
    if text in list(TileMode):
        return TileMode(text)
    if size := re.fullmatch(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})", text):
        return int(size[1]), int(size[2])
    message = f"expected auto, off or a size such as 640x640, got {text!r}"
    raise argparse.ArgumentTypeError(message)


def _pattern(text: str) -> str:
    try:
        compiled(text)
    except ValueError as exc:
        message = f"{exc}, got {shown(text)}"
        raise argparse.ArgumentTypeError(message) from exc
    return text


def add_split_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide which photos are held out."""
    parser.add_argument(
        "--group",
        type=_pattern,
        metavar="REGEX",
        help="keep photos together in whose paths its first group is the same",
    )
    parser.add_argument(
        "--split-seed",
        type=seed_int,
        default=0,
        help="seed of the choice of held-out photos (default: 0)",
    )
    parser.add_argument(
        "--split-like",
        type=Path,
        metavar="RUN",
        help="keep each photo in the split that it had in an earlier run",
    )
    parser.add_argument(
        "--bit-depth",
        type=int,
        choices=BIT_DEPTHS,
        help="bits that hold data in photos of more than 8 bits a channel (default: "
        "the fewest that hold all values)",
    )
    add_unlabelled_argument(parser)


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the studies."""
    parser.add_argument(
        "--folds",
        type=fold_int,
        help="also train this many detectors, each on all photos except one fold: list "
        "the labels that look wrong, and choose the score threshold on all photos "
        "(takes that many times longer)",
    )
    parser.add_argument(
        "--learning-curve",
        action="store_true",
        help="also train on 25, 50 and 75%% of the photos, and estimate how many more "
        "are needed (takes four times as long)",
    )
    parser.add_argument(
        "--goal-recall",
        type=share,
        default=GOAL_RECALL,
        metavar="SHARE",
        help="recall for which --learning-curve estimates the missing photos "
        f"(default: {GOAL_RECALL:.0%}%)",
    )
    parser.add_argument(
        "--compare",
        choices=["scratch"],
        help="also train from random weights with the same schedule, and compare "
        "(takes twice as long)",
    )


def add_unlabelled_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option for photos that no label file describes."""
    parser.add_argument(
        "--unlabelled",
        type=UnlabelledUse,
        choices=list(UnlabelledUse),
        help="use of photos that no label file describes (default: "
        f"{UnlabelledUse.LEAVE_OUT})",
    )


def split_options(args: argparse.Namespace) -> SplitOptions:
    """Return the options of the split.

    Raises:
        DatasetError: The split record of the earlier run cannot be read.
    """
    name = args.split_like
    like = read_split_record(name) if name else None
    usual = like.unlabelled if like else UnlabelledUse.LEAVE_OUT
    return SplitOptions(
        seed=args.split_seed,
        pattern=args.group,
        like=like,
        like_name=str(name) if name else None,
        unlabelled=args.unlabelled or usual,
        bit_depth=args.bit_depth or (like.bit_depth if like else None),
    )
