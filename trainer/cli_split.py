"""How a dataset is divided, asked on the command line of ``train`` and ``check``."""

import argparse
import re
from pathlib import Path

from trainer.cli_arguments import seed_int
from trainer.data.division import SplitWishes, read_split


def add_split_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of a division.

    Args:
        parser: Of the verb.
    """
    parser.add_argument(
        "--group",
        type=_pattern,
        metavar="REGEX",
        help="names the photos that stay together: its first group in their path",
    )
    parser.add_argument(
        "--split-seed", type=seed_int, default=0, help="of what is held out"
    )
    parser.add_argument(
        "--split-like",
        type=Path,
        metavar="RUN",
        help="keep the sides that the photos had in an earlier run",
    )


def split_wishes(args: argparse.Namespace) -> SplitWishes:
    """Return what was asked for.

    Args:
        args: Parsed.

    Raises:
        DatasetError: The earlier run's division cannot be read.
    """
    like = args.split_like
    return SplitWishes(
        seed=args.split_seed,
        pattern=args.group,
        like=read_split(like) if like else None,
        like_name=str(like) if like else None,
    )


def _pattern(text: str) -> str:
    """Return a regular expression that compiles."""
    try:
        re.compile(text)
    except re.error as exc:
        message = f"not a regular expression: {exc}, got {text!r}"
        raise argparse.ArgumentTypeError(message) from exc
    return text
