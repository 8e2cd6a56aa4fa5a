"""The recipe on many products: the same number of steps, several starts and seeds.

``python bench/products.py``: every product of the shared data with labelled boxes, and
every design of the boards left out in turn, at one input size and with equal steps.
One JSON for each cell in ``bench/results/products/``; a cell that is there is not
measured again. ``summary.json`` beside them has the table: mean figures over the
products, and mean ranks. ``--only``, ``--configurations`` and ``--seeds`` measure a
part; several processes can share the work, each with other products.

``coco`` cells without ``score_rule`` were measured as ``default``, before the start of
training changed, with YOLOX's scores. ``all-drawn`` and ``half-drawn`` are the other
starts of docs/adr/0024: their weights are not in the repository.

Nothing is selected on the photos that are measured. For a design that is left out the
thresholds are chosen on boards of other designs that were not trained on.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring.boards import COCO, SHARED
from measuring.machine import RESULTS, describe_machine, write_result

from models.manifest import Metrics
from models.tiled_detector import tiled
from trainer.cli.progress import TerminalObserver
from trainer.data.dataset import Dataset, Photo, open_dataset
from trainer.data.sampling.augmentation import EpochSampler
from trainer.detectors import zoo
from trainer.detectors.names import Architecture, ScoreRule
from trainer.detectors.yolox import YOLOX
from trainer.evaluation.metrics import measure, predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.choices import DEFAULT_WEIGHTS
from trainer.fit.options import TrainOptions, resolve
from trainer.fit.recipe import train
from trainer.run import Run

PRODUCTS = RESULTS / "products"
SUMMARY = PRODUCTS / "summary.json"
WHOLE = ("belt", "cookie", "lpbf", "screws4")  # with a val of their own
BOARDS = "pcb"
# Two hard cases, made of the others: one photo for each class, and eleven classes.
# They are no products of their own: the means leave them out.
ONE_EACH, ELEVEN = "one-photo-a-class", "eleven-classes"
PARTS = {"screws4": "hole"}  # a missing screw is the defect, a screw is none
DESIGN_DIGITS = 5  # of a board's file name
LEAST_HELD_OUT = 0.2  # of the photos of the other designs, to choose thresholds on
FIGURES = ("map_33", "map_50", "map_75")

DEFAULT = "default"
FROM_COCO = TrainOptions(weights=str(COCO))
FROM_DRAWN = TrainOptions(
    weights="graft-n-synthetic",
    detector=Architecture.GRAFT_N,
    activation=zoo.usual_activation(Architecture.GRAFT_N),
)
EARLIER: dict[str, Any] = {
    "learning_rate": 4e-3,
    "backbone_share": 1,
    "turns": True,
    "pastes": True,
}
PLAIN: dict[str, Any] = {
    "learning_rate": 1e-3,
    "backbone_share": 1,
    "turns": False,
    "pastes": False,
    "close_ups": False,
    "mines": False,
}
CONFIGURATIONS: dict[str, TrainOptions] = {
    # the recipe tuned on boards, from both starts
    "earlier-drawn": replace(FROM_DRAWN, **EARLIER),
    "earlier-coco": replace(FROM_COCO, **EARLIER),
    # flips and scale only
    "plain-coco": replace(FROM_COCO, **PLAIN),
    # what `graftline train` does
    DEFAULT: TrainOptions(weights=DEFAULT_WEIGHTS),
    # the same from COCO weights that have seen no drawn picture
    "coco": FROM_COCO,
    # the same from drawn pictures
    "drawn": FROM_DRAWN,
    # the same from COCO weights without one of its parts
    "pasting": replace(FROM_COCO, pastes=True),
    "no-pasting": replace(FROM_COCO, pastes=False),
    "no-turns": replace(FROM_COCO, turns=False),
    # the rates for small defects, and pasting, whatever their size
    "high-rate": replace(
        FROM_COCO, learning_rate=3e-3, backbone_share=0.2, pastes=True
    ),
    "no-close-ups": replace(FROM_COCO, close_ups=False, mines=False),
    "no-negatives": replace(FROM_COCO, mines=False),
}
COMPARED = ("earlier-drawn", "earlier-coco", "plain-coco", "coco", DEFAULT)


@dataclass(frozen=True, slots=True)
class Cell:
    """One training."""

    product: (
        str  # a folder of the shared data, or `pcb-DESIGN` with the design left out
    )
    configuration: str
    seed: int

    @property
    def path(self) -> Path:
        """Where its result is kept."""
        return PRODUCTS / f"{self.product}_{self.configuration}_{self.seed}.json"


@cache
def opened(name: str) -> Dataset:
    """Return a product of the shared data."""
    dataset = open_dataset(SHARED / "data" / name)
    if name in PARTS:  # labels of sound parts would contradict its photos in good/
        return _only_label(dataset, PARTS[name])
    return dataset


def _only_label(dataset: Dataset, label: str) -> Dataset:
    """Return a dataset with the boxes of one label; the others are no defects."""
    number = dataset.labels.index(label)

    def kept(photo: Photo) -> Photo:
        is_kept = photo.labels == number
        places = tuple(
            p for p, keep in zip(photo.places, is_kept, strict=False) if keep
        )
        labels = np.zeros(int(is_kept.sum()), np.int64)
        return replace(photo, boxes=photo.boxes[is_kept], labels=labels, places=places)

    splits = {
        name: tuple(kept(photo) for photo in split)
        for name, split in dataset.splits.items()
    }
    return replace(dataset, labels=(label,), splits=splits)


def design(photo: Photo) -> str:
    """Return the design of a board."""
    return photo.path.name[:DESIGN_DIGITS]


def product_names() -> list[str]:
    """Return all: whole data sets, then designs that are left out, then hard cases."""
    photos = (photo for split in opened(BOARDS).splits.values() for photo in split)
    designs = sorted({design(photo) for photo in photos})
    return [*WHOLE, *(f"{BOARDS}-{name}" for name in designs), ONE_EACH, ELEVEN]


def one_photo_a_class() -> Dataset:
    """Return the boards with one training photo chosen for each class."""
    dataset = opened(BOARDS)
    chosen: list[Photo] = []
    for label in range(len(dataset.labels)):
        chosen.append(
            next(
                photo
                for photo in dataset.splits["train"]
                if label in photo.labels and all(photo is not one for one in chosen)
            )
        )
    return replace(dataset, splits={**dataset.splits, "train": tuple(chosen)})


def eleven_classes() -> Dataset:
    """Return boards and belts as one data set."""
    boards, belts = opened(BOARDS), opened("belt")
    first = len(boards.labels)
    splits = {
        name: (
            *boards.splits[name],
            *(replace(p, labels=p.labels + first) for p in belts.splits[name]),
        )
        for name in ("train", "val")
    }
    return replace(boards, labels=(*boards.labels, *belts.labels), splits=splits)


def divided(product: str) -> tuple[Dataset, tuple[Photo, ...]]:
    """Return the data set to train on, and the photos to measure on."""
    if product in (ONE_EACH, ELEVEN):
        made = one_photo_a_class() if product == ONE_EACH else eleven_classes()
        return made, made.for_training()[1]
    name, _, left_out = product.partition("-")
    dataset = opened(name)
    if not left_out:
        return dataset, dataset.for_training()[1]
    photos = [photo for split in dataset.splits.values() for photo in split]
    others = sorted({design(photo) for photo in photos} - {left_out})
    rest = [photo for photo in photos if design(photo) != left_out]
    # The designs that follow the one left out, in a circle: each is held out in turn.
    following = [d for d in others if d > left_out] + [
        d for d in others if d < left_out
    ]
    held: set[str] = set()
    for name in following:
        if sum(design(p) in held for p in rest) >= LEAST_HELD_OUT * len(rest):
            break
        held.add(name)
    val = tuple(photo for photo in rest if design(photo) in held)
    splits = {"train": tuple(p for p in rest if design(p) not in held), "val": val}
    assignment = dataset.split_assignment.with_held_out(val)
    measured = tuple(photo for photo in photos if design(photo) == left_out)
    return replace(dataset, splits=splits, split_assignment=assignment), measured


def trained(dataset: Dataset, options: TrainOptions, steps: int) -> Run:
    """Return a run that nothing was selected for on held-out photos.

    Args:
        steps: About how many; epochs are whole.
    """
    photos = dataset.for_training()[0]
    options = replace(options, selects=False)
    sampler = EpochSampler(photos, options.seed)
    per_epoch = len(sampler) // resolve(options, photos).batch
    options = replace(options, epochs=max(1, round(steps / max(1, per_epoch))))
    observer = TerminalObserver()
    with tempfile.TemporaryDirectory() as folder:
        try:
            return train(dataset, options, Path(folder), observer, resume=False).run
        finally:
            observer.close()


def measure_cell(cell: Cell, steps: int, size_px: int) -> dict[str, Any]:
    """Train one cell and return what came out.

    Args:
        steps: About how many; epochs are whole.
        size_px: Longer side of the input.
    """
    dataset, measured = divided(cell.product)
    options = replace(
        CONFIGURATIONS[cell.configuration], size_px=size_px, seed=cell.seed
    )
    machine = describe_machine()
    run = trained(dataset, options, steps)
    figures = _figures(run, measured, dataset.labels)
    record = run.record
    return {
        **asdict(cell),
        "recipe": record.recipe,
        "steps": record.schedule.steps if record.schedule else None,
        "dataset_sha256": dataset.sha256,
        "thresholds": record.thresholds.model_dump(exclude_none=True),
        **figures,
        "train_s": record.seconds,
        "machine": machine,
    }


def _figures(
    run: Run, photos: Sequence[Photo], labels: tuple[str, ...]
) -> dict[str, Any]:
    """Return metrics at the run's thresholds."""
    metrics = _measured(run, photos, labels)
    # The same weights with YOLOX's own rule, without another training.
    if not isinstance(run.model, YOLOX):
        raise TypeError(run.record.detector)
    run.model.score_rule = ScoreRule.PRODUCT
    product = _measured(run, photos, labels).model_dump()
    run.model.score_rule = run.record.score_rule
    return {
        "score_rule": run.record.score_rule,
        "metrics": metrics.model_dump(),
        "product_scores": {name: product[name] for name in FIGURES},
    }


def _measured(run: Run, photos: Sequence[Photo], labels: tuple[str, ...]) -> Metrics:
    record = run.record
    size_px = record.input_height_px, record.input_width_px
    detector = tiled(TorchDetector(run.model, *size_px), record.tiles)
    found = predict_photos(detector, photos, len(labels))
    return measure(found, photos, labels, record.thresholds, "measured")


def summarize(cells: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the table: a row for each product, means and mean ranks over products.

    Designs of the boards count together as one product in means and ranks.
    """
    values: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for cell in cells:
        # Only the default has the share of the class; the others are as before it.
        is_default = cell["configuration"] == DEFAULT
        scores = {} if is_default else cell.get("product_scores", {})
        figures = {**cell["metrics"], **scores}
        values[cell["product"]][cell["configuration"]].append(figures)
    rows = []
    for product, by_configuration in sorted(values.items()):
        for name, metrics in sorted(by_configuration.items()):
            row: dict[str, Any] = {"product": product, "configuration": name}
            row["seeds"] = len(metrics)
            for figure in (*FIGURES, "recall", "overkill"):
                known = [m[figure] for m in metrics if m[figure] is not None]
                row[figure] = round(statistics.mean(known), 4) if known else None
                if figure == "map_50" and len(known) > 1:
                    row["map_50_range"] = [round(min(known), 4), round(max(known), 4)]
            rows.append(row)
    return {"products": rows, "over_products": _over_products(rows)}


def _over_products(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mean of each figure over products, and the mean rank in mAP@.5."""
    groups: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for measured in rows:
        if measured["product"] not in (ONE_EACH, ELEVEN):
            name = measured["product"].partition("-")[0]
            groups[name][measured["configuration"]].append(measured)
    means = {
        product: {
            name: {
                figure: statistics.mean(one[figure] for one in some)
                for figure in FIGURES
            }
            for name, some in by_name.items()
        }
        for product, by_name in groups.items()
    }
    measured_names = {name for by_name in means.values() for name in by_name}
    names = [name for name in COMPARED if name in measured_names]
    complete = [p for p, by_name in means.items() if set(names) <= set(by_name)]
    result = []
    for name in names:
        row: dict[str, Any] = {"configuration": name, "products": complete}
        for figure in FIGURES:
            known = [means[product][name][figure] for product in complete]
            row[figure] = round(statistics.mean(known), 4) if known else None
        ranks = [
            1 + sum(means[p][o]["map_50"] > means[p][name]["map_50"] for o in names)
            for p in complete
        ]
        row["mean_rank"] = round(statistics.mean(ranks), 2) if ranks else None
        result.append(row)
    return result


def main(arguments: Sequence[str]) -> int:
    """Measure every cell that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="products, e.g. belt pcb-20085")
    parser.add_argument(
        "--configurations",
        nargs="+",
        choices=CONFIGURATIONS,
        default=list(COMPARED),
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    for seed in args.seeds:
        for product in args.only or product_names():
            for name in args.configurations:
                cell = Cell(product, name, seed)
                if cell.path.exists():
                    continue
                result = measure_cell(cell, args.steps, args.size)
                write_result(cell.path, result)
                print(cell.path.stem, json.dumps(result["metrics"]), flush=True)
    files = sorted(PRODUCTS.glob("*_*_*.json"))
    cells = [json.loads(path.read_text("utf-8")) for path in files]
    write_result(SUMMARY, summarize(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
