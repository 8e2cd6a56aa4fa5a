"""A service with an error at every frame: ``python -m tests.simulators.flood_verb``."""

import argparse
import logging
import sys

from graftline import Verb, VerbGroup, main

FRAMES = 20_000
logger = logging.getLogger("edge.flood")


def add_flood_arguments(_: argparse.ArgumentParser) -> None:
    """Declare no arguments."""


def run_flood(_: argparse.Namespace) -> int:
    """Log the same error for every frame, and one that names the frame."""
    for frame in range(FRAMES):
        logger.error("camera_torn camera=%s", "top")
        try:
            int("no number")
        except ValueError:
            logger.exception("decision_not_written frame=%d", frame)
    logger.info("flood_over")
    return 0


if __name__ == "__main__":
    verb = Verb(
        VerbGroup.LINE_PC,
        "flood",
        "tests.simulators.flood_verb",
        "edge",
        "flood",
        is_service=True,
    )
    sys.exit(main(["flood"], [verb]))
