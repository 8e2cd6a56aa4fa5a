"""Small defects on large photos, inspected as a whole and in tiles.

``python bench/tiles.py DATASET --minutes 3``: 36 real boards in a square make one
large photo (3840 px) whose defects are small in it. ``graftline train`` with ``--tiles
off`` at 640 and at 1024 px, and with its own choice, from the same weights for the same
minutes. Measured are mAP on mosaics of the boards of val and the time for one photo.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring.boards import COCO, add_dataset, add_out
from measuring.machine import RESULTS, describe_machine, write_result
from train import graftline

from models.label_files import LabelledBox, LabelledPicture
from models.preprocess import Frame
from models.tiled_detector import tiled
from trainer.data.dataset import Photo, open_dataset, read_photo
from trainer.data.formats.writers import write_coco
from trainer.evaluation.metrics import measure, predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.run import open_run
from trainer.run_record import RECORD_NAME

SIDE = 6  # boards in a row
BOARD_PX = 640
VARIANTS: dict[str, tuple[str, ...]] = {
    "whole-640": ("--tiles", "off", "--size", "640"),
    "whole-1024": ("--tiles", "off", "--size", "1024"),
    "tiles": ("--tiles", "auto"),
}


def mosaics(
    photos: Sequence[Photo], labels: Sequence[str]
) -> Iterator[tuple[Frame, tuple[LabelledBox, ...]]]:
    """Yield large photos and their boxes; surplus boards are left out."""
    per_photo = SIDE * SIDE
    for start in range(0, len(photos) - per_photo + 1, per_photo):
        large = np.zeros((SIDE * BOARD_PX, SIDE * BOARD_PX, 3), np.uint8)
        boxes = []
        for place, photo in enumerate(photos[start : start + per_photo]):
            y, x = (BOARD_PX * part for part in divmod(place, SIDE))
            board = read_photo(photo)
            height, width = board.shape[:2]
            large[y : y + BOARD_PX, x : x + BOARD_PX] = cv2.resize(
                board, (BOARD_PX, BOARD_PX)
            )
            scale = np.array([BOARD_PX / width, BOARD_PX / height] * 2)
            for box, label in zip(photo.boxes, photo.labels, strict=True):
                x1, y1, x2, y2 = (box * scale + np.array([x, y, x, y])).tolist()
                boxes.append(LabelledBox(labels[label], (x1, y1, x2, y2)))
        yield large, tuple(boxes)


def lay_mosaics(folder: Path, source: Path) -> None:
    """Write a dataset of large photos, each split from its own boards.

    Args:
        folder: To write; kept where it is finished.
    """
    if (folder / "val.json").exists():
        return
    dataset = open_dataset(source)
    halves = zip(("train", "val"), dataset.for_training(), strict=True)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for split, photos in halves:
        order = np.random.default_rng(0).permutation(len(photos))
        mixed = [photos[i] for i in order]
        pictures = []
        for number, (large, boxes) in enumerate(mosaics(mixed, dataset.labels)):
            name = f"{split}-{number:03d}.jpg"
            cv2.imwrite(str(folder / "images" / name), large)
            size = large.shape[1], large.shape[0]
            pictures.append(LabelledPicture(name, *size, boxes))
        write_coco(folder / f"{split}.json", pictures)


def measured(run: Path, dataset: Path) -> dict[str, Any]:
    """Return the metrics of a run on val, and its time for one photo."""
    finished, photos = open_run(run), open_dataset(dataset)
    record, held_out = finished.record, photos.splits["val"]
    size_px = record.input_height_px, record.input_width_px
    detector = tiled(TorchDetector(finished.model, *size_px), record.tiles)
    started_s = time.monotonic()
    found = predict_photos(detector, held_out, len(photos.labels))
    seconds = time.monotonic() - started_s
    metrics = measure(found, held_out, photos.labels, record.thresholds, "val")
    return {
        "recipe": record.recipe,
        "inferences": record.tiles.count if record.tiles else 1,
        "train_minutes": round(record.seconds / 60, 2),
        "ms_a_photo": round(1000 * seconds / len(held_out)),
        "metrics": metrics.model_dump(),
    }


def main(arguments: list[str]) -> int:
    """Measure every variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_dataset(parser)
    parser.add_argument("--weights", default=str(COCO))
    parser.add_argument("--minutes", type=float, default=3)
    add_out(parser)
    args = parser.parse_args(arguments)
    machine, large = describe_machine(), args.out / "mosaics"
    lay_mosaics(large, args.dataset)
    rows = {}
    for name, options in VARIANTS.items():
        run = args.out / f"tiles-{name}"
        if not (run / RECORD_NAME).exists():
            start = ("--weights", args.weights, "--minutes", args.minutes)
            graftline("train", large, *start, *options, "--out", run)
        rows[name] = measured(run, large)
        print(name, rows[name]["metrics"]["map_33"], rows[name]["ms_a_photo"], "ms")
    write_result(RESULTS / "tiles.json", {"machine": machine, "variants": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
