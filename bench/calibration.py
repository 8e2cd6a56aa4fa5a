"""What the factors for the odds of each class are worth on products of several classes.

``python bench/calibration.py``: a detector is trained as in ``products.py``. Then its
held-out photos are divided into halves at random, 200 times: on one half the factors
are fitted (photos with a defect) and the threshold is the highest score of the good
parts; on the other half recall and overkill are measured, with and without factors.
Result: ``bench/results/calibration.json``. Designs that were left out are in
``promise.py``.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from measuring.machine import RESULTS, describe_machine, write_result
from products import BOARDS, CONFIGURATIONS, DEFAULT, ELEVEN, divided, trained

from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.detectors.yolox import YOLOX
from trainer.evaluation.calibration import fit_class_odds, with_odds
from trainer.evaluation.metrics import predict_photos, true_positives
from trainer.evaluation.torch_detector import TorchDetector

PRODUCTS = ("belt", BOARDS, ELEVEN)
STEPS, SIZE_PX = 200, 320
DIVISIONS = 200
RESULT = RESULTS / "calibration.json"
Row = tuple[Detections, Photo]


def scored(product: str, seed: int) -> tuple[int, list[Row]]:
    """Return the number of classes, and held-out photos with raw detections."""
    dataset, held_out = divided(product)
    options = replace(CONFIGURATIONS[DEFAULT], size_px=SIZE_PX, seed=seed)
    run = trained(dataset, options, STEPS)
    if not isinstance(run.model, YOLOX):
        raise TypeError(run.record.detector)
    run.model.class_odds = None
    size_px = run.record.input_height_px, run.record.input_width_px
    detector = TorchDetector(run.model, *size_px)
    found = predict_photos(detector, held_out, len(dataset.labels))
    return len(dataset.labels), list(zip(found, held_out, strict=True))


def at_highest_good(
    chosen_on: Sequence[Row], measured: Sequence[Row]
) -> tuple[float, float]:
    """Return recall and overkill above the highest score of good parts elsewhere."""
    threshold = max(found.scores.max(initial=0) for found, p in chosen_on if p.is_good)
    good = [found for found, photo in measured if photo.is_good]
    alarmed = sum(found.scores.max(initial=0) > threshold for found in good)
    defective = [row for row in measured if not row[1].is_good]
    right = sum(
        int((found.scores[true_positives(found, photo)] > threshold).sum())
        for found, photo in defective
    )
    boxes = sum(len(photo.labels) for _, photo in defective)
    return right / boxes, float(alarmed) / len(good)


def compare(rows: Sequence[Row], classes: int) -> dict[str, list[float]]:
    """Return mean recall and overkill over all divisions, with and without factors."""
    generator = np.random.default_rng(0)
    good = [row for row in rows if row[1].is_good]
    defective = [row for row in rows if not row[1].is_good]
    figures: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
    for _ in range(DIVISIONS):
        halves: list[list[Row]] = [[], []]
        for kind in (good, defective):
            for place, index in enumerate(generator.permutation(len(kind))):
                halves[place % 2].append(kind[index])
        figures["without"].append(at_highest_good(*halves))
        odds = fit_class_odds(*zip(*halves[0], strict=True), classes)
        if odds is not None:
            halves = [[(with_odds(f, odds), p) for f, p in half] for half in halves]
        figures["with"].append(at_highest_good(*halves))
    return {
        name: [round(float(mean), 4) for mean in np.mean(values, axis=0)]
        for name, values in figures.items()
    }


def main(arguments: Sequence[str]) -> int:
    """Measure every product that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PRODUCTS, default=list(PRODUCTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    rows: list[dict[str, Any]] = []
    if RESULT.exists():
        rows = json.loads(RESULT.read_text("utf-8"))["rows"]
    for product in args.only:
        for seed in args.seeds:
            key = {"product": product, "seed": seed}
            if any(key.items() <= row.items() for row in rows):
                continue
            classes, found = scored(product, seed)
            rows.append(key | {"recall_overkill": compare(found, classes)})
            print(rows[-1], flush=True)
            write_result(RESULT, {"machine": describe_machine(), "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
