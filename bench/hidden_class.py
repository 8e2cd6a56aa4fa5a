"""Whether the class ``unknown`` finds a kind of defect that nobody has labelled.

``python bench/hidden_class.py``: each class of each product is hidden in turn. Photos
that show it are not trained on; a detector with ``--unknown`` is trained on the others.
The threshold is the score that all but 2 and 5 % of the held-out good photos stay
below. Measured is the share of the hidden defects of ``val`` that a detection of at
least this score lies on: of the named classes alone, of ``unknown`` alone, and of both
together, so that each has the same overkill. Also the area under the ROC of the score
at a hidden defect against the best score of a good photo.

One JSON for each class, which is not measured again; ``--only`` and ``--classes``
measure a part. Result: ``bench/results/unknown/hidden-PRODUCT-CLASS-FREEZE.json``.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring.boards import COCO, SHARED
from measuring.machine import RESULTS, describe_machine, write_result

from models.boxes import Boxes
from models.detections import Detections
from models.tiled_detector import tiled
from trainer.cli.progress import TerminalObserver
from trainer.data.dataset import Dataset, Photo, open_dataset
from trainer.data.sampling.augmentation import EpochSampler
from trainer.detectors.names import Activation
from trainer.evaluation.intervals import auroc_of, wilson
from trainer.evaluation.metrics import predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.choices import Freeze
from trainer.fit.options import TrainOptions, resolve
from trainer.fit.recipe import train
from trainer.run import Run

PRODUCTS = ("pcb", "belt")
OVERKILL = (0.02, 0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the classes that have no result yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PRODUCTS, default=PRODUCTS)
    parser.add_argument("--classes", nargs="+", help="by their names; all if not given")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument(
        "--freeze", choices=[str(each) for each in Freeze], default="nothing"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    for product in args.only:
        dataset = open_dataset(SHARED / "data" / product)
        for label in args.classes or dataset.labels:
            name = label.lower().replace(" ", "-")
            path = RESULTS / "unknown" / f"hidden-{product}-{name}-{args.freeze}.json"
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            found = measure(dataset, label, args.steps, args.size, Freeze(args.freeze))
            write_result(path, {"product": product, "hidden": label, **found})
            sys.stdout.write(f"{product} {label} {json.dumps(found['caught'])}\n")
    return 0


def measure(
    dataset: Dataset, label: str, steps: int, size_px: int, freeze: Freeze
) -> dict[str, Any]:
    """Hide a class, train, and return what is found of it.

    Args:
        steps: About how many; epochs are whole.
        size_px: Longer side of the input.
    """
    number = dataset.labels.index(label)
    known = without(dataset, number)
    hidden = [p for p in dataset.splits["val"] if (p.labels == number).any()]
    photos, held_out = known.for_training()
    # A frozen backbone keeps the non-linearity that it was pretrained with.
    is_frozen = freeze is Freeze.BACKBONE
    options = TrainOptions(
        weights=str(COCO),
        activation=Activation.SILU if is_frozen else Activation.HARDSWISH,
        size_px=size_px,
        selects=False,
        unknown=True,
        freeze=freeze,
    )
    per_epoch = len(EpochSampler(photos, 0)) // resolve(options, photos).batch
    options = replace(options, epochs=max(1, round(steps / max(1, per_epoch))))
    machine, observer = describe_machine(), TerminalObserver()
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = train(known, options, Path(folder), observer, resume=False).run
        finally:
            observer.close()
        good = predictions(run, [photo for photo in held_out if photo.is_good])
        found = predictions(run, hidden)
    places = [
        at_boxes(each, photo.boxes[photo.labels == number])
        for each, photo in zip(found, hidden, strict=True)
    ]
    unknown = run.record.labels.index("unknown")
    return {
        "trained_on": len(photos),
        "good_photos": len(good),
        "photos_of_the_hidden_class": len(hidden),
        **figures(good, [box for photo in places for box in photo], unknown),
        "recipe": run.record.recipe,
        "dataset_sha256": dataset.sha256,
        "machine": machine,
    }


def without(dataset: Dataset, label: int) -> Dataset:
    """Return the data set without a class and without the photos that show it."""

    def rest(photos: Sequence[Photo]) -> tuple[Photo, ...]:
        return tuple(
            replace(photo, labels=photo.labels - (photo.labels > label))
            for photo in photos
            if not (photo.labels == label).any()
        )

    splits = {name: rest(split) for name, split in dataset.splits.items()}
    names = tuple(n for i, n in enumerate(dataset.labels) if i != label)
    return replace(dataset, labels=names, splits=splits)


def at_boxes(found: Detections, boxes: Boxes) -> list[Detections]:
    """Return, for each box, the detections that lie on it.

    One does whose centre is inside of the box, or that the centre of the box is in.
    """

    def holds(outer: Boxes, inner: Boxes) -> np.ndarray:
        x, y = (inner[:, 0] + inner[:, 2]) / 2, (inner[:, 1] + inner[:, 3]) / 2
        inside: np.ndarray = (outer[:, 0] <= x) & (x <= outer[:, 2])
        return inside & (outer[:, 1] <= y) & (y <= outer[:, 3])

    rows = (box[None] for box in boxes)
    return [
        found.select(np.flatnonzero(holds(found.boxes, box) | holds(box, found.boxes)))
        for box in rows
    ]


def predictions(run: Run, photos: Sequence[Photo]) -> list[Detections]:
    """Return the detections of a run on photos."""
    record = run.record
    size_px = record.input_height_px, record.input_width_px
    detector = tiled(TorchDetector(run.model, *size_px), record.tiles)
    return predict_photos(detector, photos, len(record.labels))


def figures(
    good: Sequence[Detections], defects: Sequence[Detections], unknown: int
) -> dict[str, Any]:
    """Return what is found at an overkill, and the area under the ROC.

    Args:
        defects: What lies on each hidden defect.
        unknown: Index of the class unknown.
    """
    caught: dict[str, Any] = {}
    areas: dict[str, Any] = {}
    for name, kinds in (
        ("named", lambda labels: labels != unknown),
        ("unknown", lambda labels: labels == unknown),
        ("both", lambda labels: labels >= 0),
    ):
        best = [
            np.array([float(f.scores[kinds(f.labels)].max(initial=0)) for f in some])
            for some in (good, defects)
        ]
        area = auroc_of(best[0].tolist(), best[1].tolist())
        areas[name] = (
            [round(area[0], 4), *(round(v, 4) for v in area[1])] if area else None
        )
        caught[name] = {}
        for share in OVERKILL:
            limit = float(np.quantile(best[0], 1 - share, method="higher"))
            hits = int((best[1] > limit).sum())
            interval = wilson(hits, len(defects))
            caught[name][f"{share:.0%}"] = [
                round(hits / len(defects), 4),
                *(round(v, 4) for v in interval),
            ]
    return {"caught": caught, "auroc": areas}


if __name__ == "__main__":
    raise SystemExit(main())
