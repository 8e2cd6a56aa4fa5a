"""The demo from the shipped weights and from random ones, with the same budget.

``python bench/transfer_demo.py --seeds 0 1``: runs ``graftline demo --once`` twice for
each seed; one that is finished in ``bench/out`` is not run again. Result:
``bench/results/transfer_demo.json``.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)

STARTS = {"shipped": (), "none": ("--weights", "none")}
LIMIT_S = 3600.0


def run_demo(start: str, seed: int, out: Path) -> dict[str, Any]:
    """Run the demo once and return its summary.

    Args:
        start: Key of ``STARTS``.

    Returns:
        The summary with the exit code; only the latter where a step failed.
    """
    finished = out.with_suffix(".json")
    if finished.exists():
        return dict(json.loads(finished.read_text("utf-8")))
    arguments = ["demo", "--once", "--json", "--seed", str(seed), "--out", str(out)]
    print(f"$ graftline {' '.join([*arguments, *STARTS[start]])}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "graftline", *arguments, *STARTS[start]],
        stdout=subprocess.PIPE,
        check=False,
        timeout=LIMIT_S,
    )
    summary: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    # from random weights the demo ends with an error: it catches too few parts
    result = {"exit_code": done.returncode, **summary}
    finished.parent.mkdir(parents=True, exist_ok=True)
    finished.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return result


def main(arguments: list[str]) -> int:
    """Run all demos and write the result.

    Returns:
        0; 1 where the shipped weights did not catch more, or a demo failed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "bench" / "out")
    parser.add_argument("--result", type=Path, default=RESULTS / "transfer_demo.json")
    args = parser.parse_args(arguments)
    machine = describe_machine()
    demos = [
        {"start": start, **run_demo(start, seed, args.out / f"demo-{start}-{seed}")}
        for seed in args.seeds
        for start in STARTS
    ]
    means = {
        start: {key: _mean(demos, start, key) for key in ("caught", "false_alarms")}
        for start in STARTS
    }
    write_result(
        args.result,
        {
            "machine": machine,
            "configuration": configuration(args),
            "means": means,
            "demos": demos,
        },
    )
    print(json.dumps(means, indent=2))
    is_whole = all("caught" in demo for demo in demos)
    pays = means["shipped"]["caught"] > means["none"]["caught"]
    return 0 if is_whole and pays else 1


def _mean(demos: list[dict[str, Any]], start: str, key: str) -> float:
    """Return the mean of a figure; 0 for a demo that failed."""
    figures = [float(demo.get(key, 0)) for demo in demos if demo["start"] == start]
    return sum(figures) / len(figures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
