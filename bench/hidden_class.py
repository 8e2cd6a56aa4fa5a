"""Whether the class ``unknown`` finds a kind of defect that nobody has labelled.

``python bench/hidden_class.py``: each class of each product is hidden in turn. Its
boxes are removed, and photos that show nothing else are not trained on; a detector with
``--unknown`` is trained on the rest. Measured on held-out good photos and on the photos
that show the hidden class only: the share of these above the score of all but 2 and 5 %
of the good ones, and the area under the ROC, by the named classes alone and together
with ``unknown``. So both have the same overkill.

One JSON for each class, which is not measured again; ``--only`` and ``--classes``
measure a part. Result: ``bench/results/unknown/hidden-PRODUCT-CLASS.json``.
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

from models.detections import Detections
from models.tiled_detector import tiled
from trainer.cli.progress import TerminalObserver
from trainer.data.dataset import Dataset, Photo, open_dataset
from trainer.data.sampling.augmentation import EpochSampler
from trainer.evaluation.intervals import auroc_of, wilson
from trainer.evaluation.metrics import predict_photos
from trainer.evaluation.torch_detector import TorchDetector
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
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    for product in args.only:
        dataset = open_dataset(SHARED / "data" / product)
        for label in args.classes or dataset.labels:
            name = label.lower().replace(" ", "-")
            path = RESULTS / "unknown" / f"hidden-{product}-{name}.json"
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            found = measure(dataset, label, args.steps, args.size)
            write_result(path, {"product": product, "hidden": label, **found})
            sys.stdout.write(f"{product} {label} {json.dumps(found['caught'])}\n")
    return 0


def measure(dataset: Dataset, label: str, steps: int, size_px: int) -> dict[str, Any]:
    """Hide a class, train, and return what is found of it.

    Args:
        steps: About how many; epochs are whole.
        size_px: Longer side of the input.
    """
    known, hidden = without(dataset, dataset.labels.index(label))
    photos, held_out = known.for_training()
    options = TrainOptions(
        weights=str(COCO), size_px=size_px, selects=False, unknown=True
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
        defective = predictions(run, hidden)
    return {
        "good_photos": len(good),
        "photos_of_the_hidden_class": len(defective),
        **figures(good, defective, run.record.labels.index("unknown")),
        "recipe": run.record.recipe,
        "dataset_sha256": dataset.sha256,
        "machine": machine,
    }


def without(dataset: Dataset, label: int) -> tuple[Dataset, tuple[Photo, ...]]:
    """Return the data set without a class, and the photos that show nothing else."""
    hidden: list[Photo] = []

    def rest(photos: Sequence[Photo]) -> tuple[Photo, ...]:
        shown = []
        for photo in photos:
            keep = photo.labels != label
            if len(keep) and not keep.any():
                hidden.append(photo)
                continue
            places = tuple(p for p, k in zip(photo.places, keep, strict=False) if k)
            labels = photo.labels[keep]
            labels = labels - (labels > label)
            boxes = photo.boxes[keep]
            shown.append(replace(photo, boxes=boxes, labels=labels, places=places))
        return tuple(shown)

    splits = {name: rest(split) for name, split in dataset.splits.items()}
    names = tuple(n for i, n in enumerate(dataset.labels) if i != label)
    return replace(dataset, labels=names, splits=splits), tuple(hidden)


def predictions(run: Run, photos: Sequence[Photo]) -> list[Detections]:
    """Return the detections of a run on photos."""
    record = run.record
    size_px = record.input_height_px, record.input_width_px
    detector = tiled(TorchDetector(run.model, *size_px), record.tiles)
    return predict_photos(detector, photos, len(record.labels))


def figures(
    good: Sequence[Detections], defective: Sequence[Detections], unknown: int
) -> dict[str, Any]:
    """Return what is caught at an overkill, and the area under the ROC.

    Args:
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
            for some in (good, defective)
        ]
        area = auroc_of(best[0].tolist(), best[1].tolist())
        areas[name] = (
            [round(area[0], 4), *(round(v, 4) for v in area[1])] if area else None
        )
        caught[name] = {}
        for share in OVERKILL:
            limit = float(np.quantile(best[0], 1 - share, method="higher"))
            hits = int((best[1] > limit).sum())
            interval = wilson(hits, len(defective))
            caught[name][f"{share:.0%}"] = [
                round(hits / len(defective), 4),
                *(round(v, 4) for v in interval),
            ]
    return {"caught": caught, "auroc": areas}


if __name__ == "__main__":
    raise SystemExit(main())
