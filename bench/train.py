"""The commands of a user on real boards, ten minutes, from several weights.

``python bench/train.py DATASET --weights FILE.pth none --minutes 10``: ``graftline
train``, ``pack``, and ``evaluate`` of every variant in the package on the photos that
were not trained on. ``--epochs`` allows a busy machine as many steps as minutes allow a
quiet one; ``--seed`` measures the random variation; ``--freeze trunk`` and
``--minutes 3`` measure neck and head alone. One JSON for each of these in
``bench/results/train``; a run that is finished in ``bench/out`` is not trained again.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring.boards import COCO, add_dataset, add_out
from measuring.machine import RESULTS, describe_machine, write_result
from measuring.recall import recalls

from models.package import open_package
from trainer.data.dataset import open_dataset
from trainer.evaluation.metrics import predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.run import open_run
from trainer.run_record import RECORD_NAME

NOTHING = "none"
MINUTES = 10


def graftline(*arguments: object) -> str:
    """Run one command and return what it printed."""
    command = [sys.executable, "-m", "graftline", *map(str, arguments)]
    print("$", "graftline", *arguments, flush=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def measure(
    dataset: Path, weights: str, options: Sequence[object], run: Path
) -> dict[str, Any]:
    """Train where no finished run is there, and measure it.

    Args:
        dataset: With a val split and good parts.
        weights: For ``train --weights``.
    """
    seconds = None
    if not (run / RECORD_NAME).exists():
        started_s = time.monotonic()
        arguments = ("--weights", weights, *options, "--out", run)
        graftline("train", dataset, *arguments)
        seconds = round(time.monotonic() - started_s, 1)
    printed = graftline("evaluate", run, dataset, "--split", "val", "--json")
    finished = open_run(run)
    record = finished.record
    report = json.loads((run / "report.json").read_text("utf-8"))
    photos = open_dataset(dataset)
    held_out, classes = photos.for_training()[1], len(photos.labels)
    size_px = record.input_height_px, record.input_width_px
    found = predict_photos(TorchDetector(finished.model, *size_px), held_out, classes)
    return {
        "command_seconds": seconds,
        "recipe": record.recipe,
        "schedule": record.schedule.model_dump() if record.schedule else None,
        "train_minutes": round(record.seconds / 60, 2),
        "curve": [point.model_dump() for point in record.curve],
        "metrics": json.loads(printed),
        "promise": report["promise"],
        "operating_curve": report["operating_curve"],
        "recall_at_one_threshold": recalls(found, held_out),
    }


def measure_package(dataset: Path, run: Path, package: Path) -> dict[str, Any]:
    """Pack a run and measure each variant that passed the gate."""
    printed = json.loads(graftline("pack", run, "--out", package, "--json"))
    variants = {}
    for name in open_package(package).manifest.variants:
        arguments = ("--variant", name, "--split", "val", "--json")
        variants[name] = json.loads(graftline("evaluate", package, dataset, *arguments))
    return {"report": printed, "variants": variants}


def case_name(args: argparse.Namespace, weights: str) -> str:
    """Return the name of a case: its weights, and what differs from the default."""
    parts = [Path(weights).stem]
    if args.minutes != MINUTES and not args.epochs:
        parts.append(f"{args.minutes:g}min")
    if args.freeze:
        parts.append(f"frozen-{args.freeze}")
    if args.seed:
        parts.append(f"seed{args.seed}")
    return "-".join(parts)


def main(arguments: list[str]) -> int:
    """Measure every start."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_dataset(parser)
    parser.add_argument("--weights", nargs="+", default=[str(COCO), NOTHING])
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--epochs", type=int, help="instead of minutes, for as many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--freeze", choices=("trunk",))
    parser.add_argument("--no-package", action="store_true", help="train only")
    add_out(parser)
    args = parser.parse_args(arguments)
    options: list[object] = ["--seed", args.seed]
    options += ["--epochs", args.epochs] if args.epochs else ["--minutes", args.minutes]
    options += ["--freeze", args.freeze] if args.freeze else []
    for weights in args.weights:
        machine = describe_machine()
        case = case_name(args, weights)
        run = args.out / f"train-{case}"
        measured = measure(args.dataset, weights, options, run)
        if weights != NOTHING and not args.no_package:
            package = args.out / f"train-{case}-package"
            measured["package"] = measure_package(args.dataset, run, package)
        path = RESULTS / "train" / f"{case}.json"
        write_result(path, {"start": case, "machine": machine, **measured})
        print(case, json.dumps(measured["metrics"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
