"""Processor time, memory, threads and files of a process."""

import os
from pathlib import Path


def usage(pid: int) -> dict[str, float]:
    """Return what a process has used since its start, and what it holds now."""
    process = Path(f"/proc/{pid}")
    fields = (process / "stat").read_text("utf-8").rpartition(")")[2].split()
    memory = dict[str, float]()
    for line in (process / "smaps_rollup").read_text("utf-8").splitlines()[1:]:
        key, value, *_ = line.split()
        memory[key] = int(value) / 1024
    return {
        "rss_mb": memory["Rss:"],
        "pss_mb": memory["Pss:"],
        "cpu_s": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
        "threads": int(fields[17]),
        "handles": len(list((process / "fd").iterdir())),
    }


def processor_ms(pid: int) -> float:
    """Return the processor time of the threads that a process has, in milliseconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in tasks) / 1e6
