"""Alerts lost, duplicated or out of order while programs are killed by kill -9.

``python bench/chaos.py --seconds 600 --seed 1``: broker, daemon, dashboard and cameras
are killed at random moments. The exit code is 1 if an alert was lost, duplicated or out
of order, or if there were too few. Result: ``bench/results/chaos.json``. The comparison
is in ``tests/simulators/chaos.py``.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)

sys.path.insert(0, str(REPOSITORY))  # a script finds only its own folder

from tests.simulators.chaos import Chaos


def main() -> int:
    """Run and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=660)
    parser.add_argument("--fps", type=float, default=40, help="of each of two cameras")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=int, default=20_000, metavar="ALERTS")
    parser.add_argument("--out", type=Path, default=RESULTS / "chaos.json")
    args = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        report = Chaos(Path(folder), args.seed, args.fps).run(args.seconds)
    document = {
        "machine": machine,
        "config": configuration(args),
        "result": report.document(),
    }
    write_result(args.out, document)
    print(report)
    return 0 if report.is_clean and report.alerts >= args.least else 1


if __name__ == "__main__":
    sys.exit(main())
