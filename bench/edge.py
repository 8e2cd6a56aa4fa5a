"""Speed of the daemon: the frame path, age, start, memory, and publishing.

``python bench/edge.py --only throughput overhead --seconds 10``: one JSON for each
part in ``bench/results/edge``. Ratios are of one run, measured in pairs. ``--peer``
also times a peer's own OpenVINO loop, in an environment of its own.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measuring.edge_daemon import (
    measure_cameras,
    measure_publish,
    measure_soak,
    measure_start,
)
from measuring.edge_model import SHARED, bench_slot
from measuring.edge_path import measure_age, measure_overhead, measure_throughput
from measuring.edge_peer import measure_peer
from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)

Part = Callable[[argparse.Namespace, Path], dict[str, Any]]
PARTS: dict[str, Part] = {
    "throughput": lambda a, slot: measure_throughput(slot, a.pictures, a.seconds / 20),
    "overhead": lambda a, slot: measure_overhead(slot, a.pictures, a.seconds / 4),
    "age": lambda a, slot: measure_age(slot, a.seconds),
    "start": lambda a, slot: measure_start(a.out, slot, a.pictures),
    "cameras": lambda a, slot: measure_cameras(a.out, slot, a.pictures, a.seconds / 4),
    "publish": lambda a, slot: measure_publish(a.out, slot, a.pictures, a.seconds / 6),
    "soak": lambda a, slot: measure_soak(a.out, slot, a.pictures, a.seconds),
}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--peer", action="store_true", help="time a peer as well")
    parser.add_argument("--seconds", type=float, default=60, help="length of a part")
    parser.add_argument("--dataset", type=Path, default=SHARED / "data" / "pcb")
    weights = SHARED / "weights" / "yolox_nano_coco.pth"
    parser.add_argument("--weights", type=Path, default=weights)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "bench" / "out/edge")
    parser.add_argument("--results", type=Path, default=RESULTS / "edge")
    args = parser.parse_args(arguments)
    args.pictures = args.dataset / "images"
    return args


def main(arguments: list[str]) -> int:
    """Measure the parts that were asked for."""
    args = parse(arguments)
    slot = bench_slot(args.out, args.dataset, args.weights)
    parts: dict[str, Part] = {name: PARTS[name] for name in args.only}
    if args.peer:
        parts["peer"] = lambda a, at: measure_peer(a.out, at, a.pictures)
    for name, measure in parts.items():
        machine = describe_machine()
        measured = measure(args, slot)
        print(name, json.dumps(measured, indent=2), flush=True)
        document = {"machine": machine, "configuration": configuration(args)}
        write_result(args.results / f"{name}.json", {**document, "measured": measured})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
