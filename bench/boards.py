"""Real boards at 640 px: the two commands of a user, from several weights.

``python bench/boards.py DATASET --weights FILE.pth none``: ``graftline train`` with no
other option, then ``graftline evaluate --split val``. One JSON a start in
``bench/results/boards``; a run that is finished in ``bench/out`` is not trained again.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from measuring.machine import REPOSITORY, RESULTS, describe_machine, write_result

from trainer.run import RECORD_NAME, open_run


def graftline(*words: object) -> str:
    """Run one command and return what it printed.

    Args:
        words: Verb and arguments.
    """
    command = [sys.executable, "-m", "graftline", *map(str, words)]
    print("$", "graftline", *words, flush=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def measure(dataset: Path, weights: str, run: Path) -> dict[str, Any]:
    """Train where no finished run is there, and measure it.

    Args:
        dataset: With a val split.
        weights: For ``train --weights``.
        run: Folder of the run.
    """
    if not (run / RECORD_NAME).exists():
        resume = ("--resume",) if run.exists() else ()
        graftline("train", dataset, "--weights", weights, "--out", run, *resume)
    printed = graftline("evaluate", run, dataset, "--split", "val", "--json")
    record = open_run(run).record
    return {
        "recipe": record.recipe,
        "train_minutes": round(record.seconds / 60, 2),
        "curve": [point.model_dump() for point in record.curve],
        "metrics": json.loads(printed),
    }


def main(words: list[str]) -> int:
    """Measure every start.

    Args:
        words: After the program's name.

    Returns:
        Exit code.
    """
    shared = Path(os.environ.get("GRAFTLINE_SHARED", "../shared"))
    coco = shared / "weights" / "yolox_nano_coco.pth"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "dataset", type=Path, nargs="?", default=shared / "data" / "pcb"
    )
    parser.add_argument("--weights", nargs="+", default=[str(coco), "none"])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "bench" / "out")
    args = parser.parse_args(words)
    machine = describe_machine()
    for weights in args.weights:
        start = Path(weights).stem
        measured = measure(args.dataset, weights, args.out / f"boards-{start}")
        path = RESULTS / "boards" / f"{start}.json"
        write_result(path, {"start": start, "machine": machine, **measured})
        print(start, json.dumps(measured["metrics"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
