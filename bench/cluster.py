"""Alerts lost or stored twice while the processes of a cluster are killed by kill -9.

``python bench/cluster.py --seconds 600 --seed 1``: three nats-servers as one MQTT
cluster, PostgreSQL, two collectors on the one database, and four lines; one process at
a time is killed. The exit code is 1 if an alert or a verdict was lost or is there
twice. Result: ``bench/results/cluster.json``; ``make cluster-demo`` writes
``bench/out/cluster.json``. The comparison is in ``tests/simulators/cluster/report.py``.
"""

import argparse
import importlib.metadata
import subprocess
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

from models.errors import ConfigError
from tests.simulators import postgresql
from tests.simulators.cluster import brokers
from tests.simulators.cluster.chaos import ClusterChaos
from tests.simulators.cluster.report import ClusterReport


def require_programs() -> None:
    """Refuse to start without the servers.

    Raises:
        ConfigError: nats-server or PostgreSQL is not installed.
    """
    programs = {
        "nats-server": brokers.NATS_SERVER is not None,
        "postgresql": postgresql.is_installed(),
    }
    missing = [name for name, is_there in programs.items() if not is_there]
    if missing:
        raise ConfigError(
            f"The cluster cannot be started: {' and '.join(missing)} not found.",
            why="nats-server is its MQTT cluster, PostgreSQL holds its history.",
            fix=f"apt-get install {' '.join(missing)}",
        )


def versions() -> dict[str, str]:
    """Return the versions of the servers."""
    commands = {
        "nats-server": [str(brokers.NATS_SERVER), "--version"],
        "postgresql": [str(postgresql.path_of("postgres")), "--version"],
    }
    found = {
        name: subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        for name, command in commands.items()
    }
    return {**found, "psycopg": importlib.metadata.version("psycopg")}


def show(report: ClusterReport) -> None:
    """Print the proof."""
    kills = ", ".join(f"{name} {count}" for name, count in report.kills.items())
    median_ms, late_ms, longest_ms = report.delay_ms
    print(
        f"\n{report.table()}\n\n"
        f"kill -9 in {report.seconds:.0f} s: {kills}\n"
        f"from the camera to the history, outages included: median {median_ms} ms, "
        f"99 % within {late_ms / 1000:.1f} s, longest {longest_ms / 1000:.1f} s\n"
        f"of {report.total('raised')} events: {report.total('lost')} lost, "
        f"{report.total('repeated')} duplicate rows"
    )


def main() -> int:
    """Run, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="of killing")
    parser.add_argument("--seed", type=int, default=1, help="of victims and moments")
    parser.add_argument("--out", type=Path, default=RESULTS / "cluster.json")
    args = parser.parse_args()
    try:
        require_programs()
    except ConfigError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        say = lambda line: print(line, flush=True)  # noqa: E731 - one line
        report = ClusterChaos(Path(folder), args.seed, say).run(args.seconds)
    document = {
        "machine": {**machine, "servers": versions()},
        "config": configuration(args),
        "result": report.document(),
    }
    write_result(args.out, document)
    show(report)
    print(f"written to {args.out}")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
