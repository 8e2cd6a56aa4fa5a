"""Real boards, ten minutes: the commands of a user, from several weights.

``python bench/train.py DATASET --weights FILE.pth none --minutes 10``: ``graftline
train``, ``pack``, and ``evaluate`` of every variant in the package on the photos that
were not trained on. ``--epochs`` gives a shared machine as many steps as minutes give a
quiet one; ``--seed`` shows how far figures move by chance. One JSON a start and seed in
``bench/results/train``; a run that is finished in ``bench/out`` is not trained again.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measuring.boards import COCO, add_dataset, add_out
from measuring.machine import RESULTS, describe_machine, write_result

from models.package import open_package
from trainer.run import RECORD_NAME, open_run

NOTHING = "none"


def graftline(*words: object) -> str:
    """Run one command and return what it printed.

    Args:
        words: Verb and arguments.
    """
    command = [sys.executable, "-m", "graftline", *map(str, words)]
    print("$", "graftline", *words, flush=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def measure(
    dataset: Path, weights: str, length: tuple[object, ...], run: Path
) -> dict[str, Any]:
    """Train where no finished run is there, and measure it.

    Args:
        dataset: With a val split and good parts.
        weights: For ``train --weights``.
        length: ``--minutes`` or ``--epochs`` with their number, and a seed.
        run: Folder of the run.
    """
    seconds = None
    if not (run / RECORD_NAME).exists():
        begun = time.monotonic()
        words = ("--weights", weights, *length, "--out", run)
        graftline("train", dataset, *words)
        seconds = round(time.monotonic() - begun, 1)
    printed = graftline("evaluate", run, dataset, "--split", "val", "--json")
    record = open_run(run).record
    report = json.loads((run / "report.json").read_text("utf-8"))
    return {
        "command_seconds": seconds,
        "recipe": record.recipe,
        "schedule": record.schedule.model_dump() if record.schedule else None,
        "train_minutes": round(record.seconds / 60, 2),
        "curve": [point.model_dump() for point in record.curve],
        "metrics": json.loads(printed),
        "promise": report["promise"],
        "operating_curve": report["operating_curve"],
    }


def measure_package(dataset: Path, run: Path, package: Path) -> dict[str, Any]:
    """Pack a run and measure each variant that passed the gate.

    Args:
        dataset: The one of the run.
        run: Finished.
        package: Folder to write.
    """
    printed = json.loads(graftline("pack", run, "--out", package, "--json"))
    variants = {}
    for name in open_package(package).manifest.variants:
        words = ("--variant", name, "--split", "val", "--json")
        variants[name] = json.loads(graftline("evaluate", package, dataset, *words))
    return {"report": printed, "variants": variants}


def main(words: list[str]) -> int:
    """Measure every start.

    Args:
        words: After the program's name.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    add_dataset(parser)
    parser.add_argument("--weights", nargs="+", default=[str(COCO), NOTHING])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--epochs", type=int, help="instead of minutes, for as many")
    parser.add_argument("--seed", type=int, default=0)
    add_out(parser)
    args = parser.parse_args(words)
    length: tuple[object, ...] = ("--minutes", args.minutes)
    if args.epochs:
        length = ("--epochs", args.epochs)
    if args.seed:
        length += ("--seed", args.seed)
    for weights in args.weights:
        machine = describe_machine()
        start = Path(weights).stem + (f"-seed{args.seed}" if args.seed else "")
        run = args.out / f"train-{start}"
        measured = measure(args.dataset, weights, length, run)
        if weights != NOTHING:
            package = args.out / f"train-{start}-package"
            measured["package"] = measure_package(args.dataset, run, package)
        path = RESULTS / "train" / f"{start}.json"
        write_result(path, {"start": start, "machine": machine, **measured})
        print(start, json.dumps(measured["metrics"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
