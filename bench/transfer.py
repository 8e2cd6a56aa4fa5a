"""Does the shipped checkpoint transfer? The same fine-tuning from several starts.

``python bench/transfer.py DATASET --weights none graftline-synthetic-nano FILE.pth
--photos 100 --size 320 --epochs 10``: one JSON a start in ``bench/results/transfer``,
a cell that is there is not measured again.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from trainer.cli_progress import TerminalObserver
from trainer.data.check import faultless_dataset
from trainer.data.dataset import Dataset
from trainer.fit.recipe import train
from trainer.fit.wishes import Wishes

RESULTS = Path(__file__).parent / "results" / "transfer"


def subset(dataset: Dataset, count: int) -> Dataset:
    """Return the dataset with the first photos to train on, val as it is.

    Args:
        dataset: With splits train and val.
        count: Defective photos; good ones in the same proportion.
    """
    photos = dataset.splits["train"]
    bad = [photo for photo in photos if not photo.is_good]
    good = [photo for photo in photos if photo.is_good]
    chosen = (*bad[:count], *good[: max(1, len(good) * count // len(bad))])
    return replace(dataset, splits=dataset.splits | {"train": chosen})


def measure_cell(dataset: Dataset, wishes: Wishes, count: int) -> dict[str, object]:
    """Train one cell and return what came out.

    Args:
        dataset: Whole.
        wishes: Of the training.
        count: Defective photos to train on.
    """
    observer = TerminalObserver()
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = train(
                subset(dataset, count), wishes, Path(folder), observer, resume=False
            )
        finally:
            observer.close()
    record = outcome.run.record
    return {
        "photos": count,
        "wishes": asdict(wishes),
        "recipe": record.recipe,
        "pretrained_sha256": record.pretrained_sha256,
        "dataset_sha256": dataset.sha256,
        "metrics": record.metrics.model_dump(),
        "train_s": record.seconds,
        "machine": {"processor": platform.processor(), "cores": os.cpu_count()},
        "versions": record.versions,
    }


def main(arguments: Sequence[str]) -> int:
    """Measure every cell that is not there yet.

    Args:
        arguments: Without the program's name.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("GRAFTLINE_SHARED", "../shared"))
    coco = shared / "weights" / "yolox_nano_coco.pth"
    parser.add_argument(
        "dataset", type=Path, nargs="?", default=shared / "data" / "pcb"
    )
    parser.add_argument(
        "--weights", nargs="+", default=["none", "graftline-synthetic-nano", str(coco)]
    )
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--train-norms",
        action="store_true",
        help="let batch norms learn new statistics, to see what freezing them brings",
    )
    args = parser.parse_args(arguments)
    RESULTS.mkdir(parents=True, exist_ok=True)
    dataset = faultless_dataset(args.dataset, trains=True).dataset
    for weights in args.weights:
        start = Path(weights).stem
        cell = f"{start}-{args.photos}x{args.epochs}-{args.size}px-{args.seed}"
        cell += "-trained-norms.json" if args.train_norms else ".json"
        path = RESULTS / cell
        if path.exists():
            continue
        wishes = Wishes(
            weights=weights,
            size_px=args.size,
            epochs=args.epochs,
            frozen_norms=False if args.train_norms else None,
            seed=args.seed,
        )
        result = measure_cell(dataset, wishes, args.photos)
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(cell, json.dumps(result["metrics"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
