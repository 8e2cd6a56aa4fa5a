"""The machine, the versions and the commit, for every result."""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.machine import processor_name

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "bench" / "results"
LIBRARIES = (
    *("graftline", "torch", "torchvision", "openvino", "onnxruntime", "nncf"),
    *("opencv-python-headless", "numpy", "paho-mqtt"),
)


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory, system, versions, commit and time."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "memory": _memory(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": dict(map(_version, LIBRARIES)),
        "commit": _commit(),
    }


def write_result(path: Path, document: dict[str, Any]) -> None:
    """Write one result.

    Args:
        path: The file; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def configuration(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a bench as JSON."""
    return {
        name: value if isinstance(value, int | float) else str(value)
        for name, value in vars(args).items()
    }


def _memory() -> str:
    for line in Path("/proc/meminfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return value.strip()
    return "unknown"


def _version(library: str) -> tuple[str, str]:
    try:
        return library, importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return library, "not installed"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=10
    )
    return done.stdout.strip() or "no commit"
