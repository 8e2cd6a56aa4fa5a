"""Frames lost, and the gap between two decisions, while packages are tried and changed.

``python bench/trial.py``: a real daemon inspects a video of 30 frames/s in a loop, and
good packages are flashed one after the other, each with its trial. Counted are the
frames that the daemon drops from the start of each flash until its end, and the time
between the last decision of the old model and the first one of the new. The exit code
is 1 if a frame was dropped or a gap is larger than two frame intervals: the gap that is
there anyway, and one more. Result: ``bench/results/trial.json``.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)

sys.path.insert(0, str(REPOSITORY))  # a script finds only its own folder

from deploy.trial import TrialSettings
from tests.simulators.broker import Broker
from tests.simulators.live import FPS, LivePc
from tests.simulators.packages import make_package
from tests.waiting import until

GAP_MAX_MS = 2 * 1000 / FPS


def try_packages(folder: Path, flashes: int, turns: int) -> list[dict[str, Any]]:
    """Flash packages and return what was measured for each.

    Args:
        folder: Empty.
        turns: Ballast of the graph, see ``tests.simulators.packages``.
    """
    packages = [
        make_package(folder / f"build-{build}", build=build, turns=turns)
        for build in range(flashes + 1)
    ]
    for name in ("broker", "pc"):
        (folder / name).mkdir()
    settings = TrialSettings(frames=120, seconds=4)
    rows = []
    with (
        Broker(folder / "broker") as broker,
        LivePc(folder / "pc", broker.port, packages[0]).running() as live,
    ):
        for package in packages[1:]:
            dropped, started = dropped_of(live), time.monotonic()
            with live.watched_trial() as reports:
                live.target.flash(package, settings)
            seconds = time.monotonic() - started
            until(lambda: live.health().trial is None)
            time.sleep(1)  # the old model is released
            report = reports[-1]
            rows.append(
                {
                    "seconds": round(seconds, 2),
                    "frames": report.old.frames + report.new.frames,
                    "frames_dropped": dropped_of(live) - dropped,
                    "gap_ms": report.swap_gap_ms,
                    "latency_ms_p50": report.new.latency_ms_p50,
                }
            )
    return rows


def dropped_of(live: LivePc) -> int:
    """Return how many frames the daemon has dropped, by its last progress line."""
    lines = [line for line in live.pc.stderr.splitlines() if " dropped," in line]
    return int(lines[-1].partition(" dropped,")[0].rpartition(" ")[2])


def main() -> int:
    """Run and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flashes", type=int, default=10)
    parser.add_argument("--turns", type=int, default=1, help="ballast of the graph")
    parser.add_argument("--out", type=Path, default=RESULTS / "trial.json")
    args = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = try_packages(Path(folder), args.flashes, args.turns)
    gaps_ms = [row["gap_ms"] for row in rows]
    dropped = sum(row["frames_dropped"] for row in rows)
    result = {
        "fps": FPS,
        "frames": sum(row["frames"] for row in rows),
        "frames_dropped": dropped,
        "gap_ms_median": round(statistics.median(gaps_ms), 1),
        "gap_ms_max": round(max(gaps_ms), 1),
        "flashes": rows,
    }
    document = {
        "machine": machine,
        "config": configuration(args),
        "result": result,
    }
    write_result(args.out, document)
    print(f"{dropped} frames dropped, gaps {gaps_ms} ms: {args.out}")
    return 0 if dropped == 0 and max(gaps_ms) <= GAP_MAX_MS else 1


if __name__ == "__main__":
    sys.exit(main())
