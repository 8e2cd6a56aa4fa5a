"""Whether small photos gain from an input that is larger than they are.

``python bench/small_photos.py``: the photos of four products are shrunk to 224 px, and
a detector is trained from the default start with an input of 224 px, and of 320 px in
the same number of steps and in about the same time (half of the steps). Result:
``bench/results/small_photos.json``, one row for each product, input and seed; a row
that is there is not measured again.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from measuring.machine import RESULTS, describe_machine, write_result
from products import FIGURES, WHOLE, opened, trained

from models.pictures import read_picture
from trainer.data.dataset import Dataset, Photo
from trainer.evaluation.metrics import measure, predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.choices import DEFAULT_WEIGHTS
from trainer.fit.options import TrainOptions

PHOTO_PX, LARGE_PX = 224, 320
STEPS = 200
SMALL = RESULTS / "small_photos"
# Input and steps: as large as the photos, the same steps, and about the same time.
CASES = (
    (PHOTO_PX, STEPS),
    (LARGE_PX, STEPS),
    (LARGE_PX, round(STEPS * PHOTO_PX**2 / LARGE_PX**2)),
)


def shrunk(dataset: Dataset, folder: Path) -> Dataset:
    """Return a dataset with its photos shrunk to ``PHOTO_PX``, written to a folder."""

    def small(photo: Photo) -> Photo:
        picture = read_picture(photo.path)
        scale = PHOTO_PX / max(picture.shape[:2])
        height, width = (round(side * scale) for side in picture.shape[:2])
        path = folder / f"{photo.sha256}.png"
        size = (width, height)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(path), picture)
        boxes = (photo.boxes * np.float32(scale)).astype(np.float32)
        return replace(photo, path=path, width_px=width, height_px=height, boxes=boxes)

    splits = {
        name: tuple(small(photo) for photo in split)
        for name, split in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


def measure_case(
    dataset: Dataset, size_px: int, steps: int, seed: int
) -> dict[str, Any]:
    """Train one detector and return its figures on the held-out photos."""
    options = TrainOptions(weights=DEFAULT_WEIGHTS, size_px=size_px, seed=seed)
    run, held_out = trained(dataset, options, steps), dataset.for_training()[1]
    record = run.record
    detector = TorchDetector(run.model, record.input_height_px, record.input_width_px)
    found = predict_photos(detector, held_out, len(dataset.labels))
    metrics = measure(found, held_out, dataset.labels, record.thresholds, "measured")
    figures = metrics.model_dump()
    return {
        **{name: figures[name] for name in FIGURES},
        "steps": record.schedule.steps if record.schedule else None,
        "train_s": record.seconds,
    }


def main(arguments: Sequence[str]) -> int:
    """Measure every row that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=WHOLE, default=list(WHOLE))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    for name in args.only:
        path = SMALL / f"{name}.json"
        if path.exists():
            continue
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            dataset = shrunk(opened(name), Path(folder))
            for seed in args.seeds:
                for size_px, steps in CASES:
                    figures = measure_case(dataset, size_px, steps, seed)
                    rows.append({"size_px": size_px, "seed": seed} | figures)
                    print(name, rows[-1], flush=True)
        write_result(path, {"machine": describe_machine(), "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
