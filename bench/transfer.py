"""Transfer of pretrained weights: the same fine-tuning from several weights.

``python bench/transfer.py DATASET --starts graft coco --photos 50 --seeds 0 1 2``:
the recipe of ``graftline train`` at 320 px for the same number of training samples
(``--looks``), however few photos there are; nothing is selected on the photos that are
measured. The seed also selects the photos, the same ones for every start. One JSON for
each cell in ``bench/results/transfer/``; a cell that is there is not measured again.
``summary.json`` beside them holds mean and spread.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring.boards import COCO, add_dataset
from measuring.machine import RESULTS, describe_machine, write_result
from measuring.recall import recalls

from trainer.cli.progress import TerminalObserver
from trainer.data.checks.check import faultless_dataset
from trainer.data.dataset import Dataset
from trainer.detectors import zoo
from trainer.detectors.names import Architecture
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import train

TRANSFER = RESULTS / "transfer"
SUMMARY = TRANSFER / "summary.json"
STARTS: dict[str, tuple[Architecture, str]] = {
    "graft": (Architecture.GRAFT_N, "graft-n-synthetic"),
    "coco": (Architecture.YOLOX_NANO, str(COCO)),
    "random": (Architecture.GRAFT_N, zoo.NO_WEIGHTS),
    "random-nano": (Architecture.YOLOX_NANO, zoo.NO_WEIGHTS),
}
METRICS = ("map_33", "map_50", "map_75")


@dataclass(frozen=True, slots=True)
class Cell:
    """One training."""

    # key of `STARTS`, or weights of one's own of the network in front of it:
    # `graft-n:FILE`
    start: str
    photos: int  # defective photos to train on
    seed: int
    # batch statistics: `frozen` = those of the weights, `usual` = as the recipe chooses
    norms: str = "usual"

    @property
    def path(self) -> Path:
        """Where its result is kept."""
        start = Path(self.start.replace(":", "/")).stem
        frozen = "" if self.norms == "usual" else f"-{self.norms}"
        return TRANSFER / f"{start}{frozen}-{self.photos}-{self.seed}.json"

    @property
    def network(self) -> tuple[Architecture, str]:
        """What is trained, and from which weights."""
        if self.start in STARTS:
            return STARTS[self.start]
        name, _, weights = self.start.partition(":")
        return Architecture(name), weights


def subset(dataset: Dataset, cell: Cell) -> Dataset:
    """Return the dataset with some of its photos to train on, val as it is.

    Args:
        cell: How many defective photos, good ones in the same proportion.
    """
    photos = dataset.splits["train"]
    order = np.random.default_rng(cell.seed).permutation(len(photos))
    bad = [photos[i] for i in order if not photos[i].is_good]
    good = [photos[i] for i in order if photos[i].is_good]
    some_good = good[: max(1, len(good) * cell.photos // len(bad))]
    chosen = (*bad[: cell.photos], *some_good)
    return replace(dataset, splits=dataset.splits | {"train": chosen})


def measure_cell(
    dataset: Dataset, cell: Cell, looks: int, common: TrainOptions
) -> dict[str, Any]:
    """Train one cell and return what came out.

    Args:
        looks: Training samples in all.
    """
    some = subset(dataset, cell)
    detector, weights = cell.network
    options = replace(
        common,
        weights=weights,
        detector=detector,
        activation=zoo.usual_activation(detector),
        epochs=round(looks / len(some.splits["train"])),
        seed=cell.seed,
        frozen_norms=None if cell.norms == "usual" else True,
        selects=False,
    )
    machine, observer = describe_machine(), TerminalObserver()
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = train(some, options, Path(folder), observer, resume=False)
        finally:
            observer.close()
    record = outcome.run.record
    return {
        **asdict(cell),
        "looks": looks,
        "recipe": record.recipe,
        "pretrained_sha256": record.pretrained_sha256,
        "dataset_sha256": dataset.sha256,
        "metrics": record.metrics.model_dump(),
        "recall_at_one_threshold": recalls(outcome.found, outcome.photos),
        "train_s": record.seconds,
        "machine": machine,
    }


def summarize() -> dict[str, Any]:
    """Return mean and spread of every start and number of photos there is."""
    cells = [
        json.loads(path.read_text("utf-8"))
        for path in sorted(TRANSFER.glob("*.json"))
        if path != SUMMARY
    ]
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for cell in cells:
        groups[cell["start"], cell["norms"], cell["photos"]].append(cell)
    rows = []
    for (start, norms, photos), group in sorted(groups.items()):
        row: dict[str, Any] = {"start": start, "norms": norms, "photos": photos}
        row["seeds"] = len(group)
        for name in METRICS:
            values = [cell["metrics"][name] for cell in group]
            row[name] = round(statistics.mean(values), 4)
            row[f"{name}_range"] = [round(min(values), 4), round(max(values), 4)]
        row["train_s"] = round(statistics.mean(cell["train_s"] for cell in group), 1)
        rows.append(row)
    return {"rows": rows}


def main(arguments: Sequence[str]) -> int:
    """Measure every cell that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_dataset(parser)
    parser.add_argument("--starts", nargs="+", default=["graft", "coco", "random"])
    parser.add_argument("--photos", type=int, nargs="+", default=[25, 50, 100, 300])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--looks", type=int, default=2400)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument(
        "--norms",
        choices=("frozen", "usual"),
        default="usual",
        help="batch statistics: those of the weights, or as the recipe chooses",
    )
    args = parser.parse_args(arguments)
    common = TrainOptions(weights=zoo.NO_WEIGHTS, size_px=args.size)
    dataset = faultless_dataset(args.dataset, trains=True).dataset
    for photos in args.photos:
        for seed in args.seeds:
            for start in args.starts:
                cell = Cell(start, photos, seed, args.norms)
                if cell.path.exists():
                    continue
                result = measure_cell(dataset, cell, args.looks, common)
                write_result(cell.path, result)
                print(cell.path.stem, json.dumps(result["metrics"]), flush=True)
    write_result(SUMMARY, summarize())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
