"""The name of this machine's processor, and the memory of this process."""

import os
import platform
from pathlib import Path

from models.counted import counted

CPU_INFO = Path("/proc/cpuinfo")
MEMORY_INFO = Path("/proc/self/statm")  # proc(5): the second number is resident pages


def machine_name() -> str:
    """Return the processor and the number of cores that this process may use."""
    return f"{processor_name()}, {counted(len(os.sched_getaffinity(0)), 'core')}"


def processor_name() -> str:
    """Return the processor's name from ``/proc/cpuinfo``, else the architecture."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        # "Model" is the board's name on an ARM that lists no "model name".
        if key.strip() in {"model name", "Model"} and value.strip():
            return value.strip()
    return platform.machine() or "unknown processor"


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 where the system does not say."""
    try:
        pages = int(MEMORY_INFO.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
