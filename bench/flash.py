"""How long flashing takes: one line PC, the same package again, and a fleet in waves.

All line PCs are folders of this machine, and all self-tests are real: golden frames in
every variant and precision, in one process for each line PC. In a plant the tests of
different PCs do not share cores; here they do, so the fleet is slower than a real one.

Limits: installing a package of 10 MB with its proof 10 s on two cores, flashing what is
there already 1 s, fifty line PCs in waves 120 s.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)

OUT = REPOSITORY / "bench" / "out" / "flash"
LIMIT_S = 3600.0
CHILDREN = resource.RUSAGE_CHILDREN
LIMITS_S = {"install": 10.0, "again": 1.0, "fleet": 120.0}
FLEET_OF_LIMIT = 50  # line PCs


class Taken(NamedTuple):
    """Seconds of one command: of the clock, and of all cores together."""

    wall_s: float
    cpu_s: float


def graftline(*words: object, folder: Path) -> Taken:
    """Run the command, and return how long it took with all its children.

    Args:
        folder: The keys are in it.
    """
    command = [sys.executable, "-P", "-m", "graftline", *map(str, words)]
    keys = str(folder / "keys")
    environment = {**os.environ, "GRAFTLINE_KEYS": keys, "PYTHONPATH": str(REPOSITORY)}
    started_s, before = time.perf_counter(), resource.getrusage(CHILDREN)
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    after = resource.getrusage(CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    taken = Taken(round(time.perf_counter() - started_s, 2), round(used, 2))
    if done.returncode:
        sys.exit(f"{' '.join(command[3:])}\n{done.stdout}{done.stderr}")
    return taken


def trained_package(out: Path) -> Path:
    """Return a package of a detector that was trained briefly; made where missing."""
    package = out / "package"
    if not package.exists():
        out.mkdir(parents=True, exist_ok=True)
        graftline("synth", "--out", out / "photos", folder=out)
        options = ("--epochs", 1)
        graftline("train", out / "photos", "--out", out / "run", *options, folder=out)
        graftline("pack", out / "run", "--out", package, folder=out)
    return package


def measure_one(package: Path, folder: Path, count: int) -> dict[str, Any]:
    """Return the seconds of the first flash of a slot, and of those after it."""
    target = f"local:{folder / 'one'}"
    install = graftline("flash", package, target, folder=folder)
    again = [graftline("flash", package, target, folder=folder) for _ in range(count)]
    best_s = min(taken.wall_s for taken in again)
    return {
        "install": install._asdict(),
        "again": [taken._asdict() for taken in again],
        "again_s": best_s,
        "again_by_install": round(best_s / install.wall_s, 3),
    }


def measure_fleet(
    package: Path, folder: Path, count: int, install_s: float
) -> dict[str, Any]:
    """Return the seconds of a fleet, and of the same command again."""
    hosts = [
        f'pc{number:03d} = {{ graftline_target = "local:pcs/{number:03d}" }}'
        for number in range(1, count + 1)
    ]
    inventory = folder / "plant.toml"
    inventory.write_text("\n".join(["[plant.hosts]", *hosts, ""]), "utf-8")
    (folder / "pcs").mkdir()
    words = ("fleet", "flash", package, "--inventory", inventory)
    words += ("--parallel", len(os.sched_getaffinity(0)))
    flash = graftline(*words, folder=folder)
    again = graftline(*words, folder=folder)
    status = graftline("fleet", "status", *words[3:], folder=folder)
    return {
        "line_pcs": count,
        "flash": flash._asdict(),
        "each_s": round(flash.wall_s / count, 2),
        "by_one_after_the_other": round(flash.wall_s / (count * install_s), 3),
        "again": again._asdict(),
        "status": status._asdict(),
    }


def megabytes_of(package: Path) -> float:
    """Return the size of a package."""
    files = [path for path in package.rglob("*") if path.is_file()]
    return round(sum(path.stat().st_size for path in files) / 1e6, 1)


def main() -> int:
    """Measure and write the result; 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", type=Path, help="default: trained briefly here")
    parser.add_argument(
        "--fleet-package", type=Path, help="another one for the fleet (default: same)"
    )
    parser.add_argument("--fleet", type=int, default=FLEET_OF_LIMIT, metavar="COUNT")
    parser.add_argument("--again", type=int, default=5, metavar="COUNT")
    parser.add_argument("--out", type=Path, default=RESULTS / "flash.json")
    args = parser.parse_args()
    machine = describe_machine()
    package = args.package or trained_package(OUT)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        one = measure_one(package, folder, args.again)
        print(json.dumps(one), flush=True)
        of_fleet = args.fleet_package or package
        fleet = measure_fleet(of_fleet, folder, args.fleet, one["install"]["wall_s"])
        print(json.dumps(fleet), flush=True)
    taken = {"install": one["install"]["wall_s"], "again": one["again_s"]}
    if args.fleet >= FLEET_OF_LIMIT:
        taken["fleet"] = fleet["flash"]["wall_s"]
    exceeded = [name for name, seconds in taken.items() if seconds > LIMITS_S[name]]
    document = {
        "machine": machine,
        "config": configuration(args),
        "package_mb": megabytes_of(package),
        "fleet_package_mb": megabytes_of(of_fleet),
        "one": one,
        "fleet": fleet,
        "limits_s": LIMITS_S,
        "exceeded": exceeded,
    }
    write_result(args.out, document)
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
