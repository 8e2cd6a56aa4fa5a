"""Verbs that end in every way a verb can, for ``test_graftline.py``."""

import argparse
import logging
import sys

from models.errors import DatasetError


def add_greet_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--times", type=int, default=1)


def run_greet(args: argparse.Namespace) -> int:
    logging.getLogger("models.greeting").info("greeting_sent")
    sys.stdout.write(f"hello {args.name}\n" * args.times)
    return 0


def add_refuse_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")


def run_refuse(_: argparse.Namespace) -> int:
    raise DatasetError(
        "photos/train.json: 2 images cannot be read.",
        why="Expected JPEG or PNG.\na.jpg is empty\nb.jpg is HTML",
        fix="copy the photos again",
    )


def add_two_words_arguments(_: argparse.ArgumentParser) -> None:
    pass


def run_two_words(_: argparse.Namespace) -> int:
    return 5


def add_interrupt_arguments(_: argparse.ArgumentParser) -> None:
    pass


def run_interrupt(_: argparse.Namespace) -> int:
    raise KeyboardInterrupt


def add_crash_arguments(_: argparse.ArgumentParser) -> None:
    pass


def run_crash(_: argparse.Namespace) -> int:
    return len([1][2:]) // 0


def add_socket_arguments(_: argparse.ArgumentParser) -> None:
    pass


def run_socket(_: argparse.Namespace) -> int:
    raise BrokenPipeError(32, "the broker hung up")


def add_heavy_arguments(_: argparse.ArgumentParser) -> None:
    pass


def run_heavy(_: argparse.Namespace) -> int:
    import library_that_is_missing  # noqa: F401

    return 0
