"""The real boards and the pretrained weights that most measurements start from."""

import argparse
import os
from pathlib import Path

from measuring.machine import REPOSITORY

SHARED = Path(os.environ.get("GRAFTLINE_SHARED", "../shared"))
BOARDS = SHARED / "data" / "pcb"
COCO = SHARED / "weights" / "yolox_nano_coco.pth"


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """Add the dataset to measure on, by default the real boards."""
    parser.add_argument("dataset", type=Path, nargs="?", default=BOARDS)


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add the folder of finished runs, which are not trained again."""
    parser.add_argument("--out", type=Path, default=REPOSITORY / "bench" / "out")
