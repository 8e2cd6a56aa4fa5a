"""The options of a trial, of the verbs ``flash``, ``fleet flash`` and ``agent``."""

import argparse
import math
from dataclasses import replace

from deploy.transports.delivery import FlashOptions
from deploy.trial import TrialSettings


def add_trial_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options; each is None where it is not given."""
    default = TrialSettings()
    parser.add_argument(
        "--trial-frames",
        type=_count,
        metavar="N",
        help="frames of the trial: the old model decides half of them, then the new "
        f"one (default {default.frames}, or what the agent of the line PC was started "
        "with; with 0 and --trial-minutes 0 there is no trial)",
    )
    parser.add_argument(
        "--trial-minutes",
        type=_quantity,
        metavar="N",
        help=f"shortest time of the trial (default {default.seconds / 60:g})",
    )
    parser.add_argument(
        "--trial-slower",
        type=_quantity,
        metavar="TIMES",
        help="how many times as long the new model may take for a frame "
        f"(default {default.slower_max:g})",
    )


def add_again_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--again``."""
    parser.add_argument(
        "--again",
        action="store_true",
        help="try a package that was rolled back here before",
    )


def trial_options(args: argparse.Namespace) -> FlashOptions:
    """Return how a package is tried, as the arguments name it."""
    return FlashOptions(
        again=args.again,
        trial_frames=args.trial_frames,
        trial_minutes=args.trial_minutes,
        trial_slower=args.trial_slower,
    )


def trial_settings(
    args: argparse.Namespace, default: TrialSettings | None = None
) -> TrialSettings:
    """Return the settings that the options name; the rest is the default's."""
    settings = default or TrialSettings()
    if args.trial_frames is not None:
        settings = replace(settings, frames=args.trial_frames)
    if args.trial_minutes is not None:
        settings = replace(settings, seconds=args.trial_minutes * 60)
    if args.trial_slower is not None:
        settings = replace(settings, slower_max=args.trial_slower)
    return settings


def _count(text: str) -> int:
    """Return a whole number that is not negative."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _quantity(text: str) -> float:
    """Return a finite number that is not negative."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return number
