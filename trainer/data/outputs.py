"""Outputs of the trainer: never inside a data set, which is only read."""

import os
from pathlib import Path

from models.errors import TrainingError


def refuse_inside(dataset: Path, out: Path, option: str) -> None:
    """Raise where an output would be written into a data set.

    A package or report there would be read as photos and labels, or replace some.

    Args:
        dataset: Its folder; nothing lies inside a zip.
        out: File or folder that would be written, not there yet.
        option: Option that names it, for the message.

    Raises:
        TrainingError: It is the data set's folder or lies in it, also through links.
    """
    # Not Path.resolve: it raises RuntimeError where a link leads to itself.
    root = os.path.realpath(dataset)
    if Path(os.path.realpath(out)).is_relative_to(root):
        raise TrainingError(
            f"{option} {out}: lies inside the data set {dataset}.",
            why="Photos and labels are read from there, and nothing is written.",
            fix=f"Choose a place beside it with {option}.",
        )
