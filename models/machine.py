"""This machine as the model sees it, and the memory of this process.

The same graph computes other numbers on another processor, with other instructions or
with another runtime. A proof of a model therefore holds all three.
"""

import importlib.metadata
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from models.counted import counted

CPU_INFO = Path("/proc/cpuinfo")
# Instructions on vectors and matrices, of x86 and ARM; others change no result.
VECTOR_FLAG = re.compile(
    r"(sse|ssse|avx|amx|fma|f16c|asimd|neon|sve|sme(?!p)|i8mm|bf16)\w*"
)
FLAG_LINES = ("flags", "Features")  # proc(5): x86, ARM
RUNTIMES = ("onnxruntime", "openvino")
MEMORY_INFO = Path("/proc/self/statm")  # proc(5): the second number is resident pages


@dataclass(frozen=True, slots=True)
class Platform:
    """What the results of a model depend on.

    Attributes:
        processor: Its name.
        instruction_set: Its instructions on vectors, sorted; empty = not known.
        runtimes: Names and versions of the installed runtimes; empty = not known.
    """

    processor: str
    instruction_set: str
    runtimes: str

    def differences(self, other: "Platform") -> tuple[str, ...]:
        """Return what is different on the other one, as phrases for a person.

        What is not known of this one is not different.
        """
        found = []
        if self.processor != other.processor:
            found.append(f"processor {other.processor}, not {self.processor}")
        if self.instruction_set and self.instruction_set != other.instruction_set:
            found.append(_changed_flags(self.instruction_set, other.instruction_set))
        if self.runtimes and self.runtimes != other.runtimes:
            found.append(f"{other.runtimes or 'no runtime'}, not {self.runtimes}")
        return tuple(found)


def this_platform() -> Platform:
    """Return the platform of this process: some milliseconds, no runtime is loaded."""
    return Platform(processor_name(), _instruction_set(), _runtimes())


def _changed_flags(before: str, now: str) -> str:
    gone = sorted(set(before.split()) - set(now.split()))
    added = sorted(set(now.split()) - set(before.split()))
    parts = [f"without {', '.join(gone)}"] if gone else []
    parts += [f"with {', '.join(added)}"] if added else []
    return f"an instruction set {' and '.join(parts)}"


def _instruction_set() -> str:
    try:
        with CPU_INFO.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:  # all cores have the same
                key, _, value = line.partition(":")
                if key.strip() in FLAG_LINES:
                    return " ".join(sorted(filter(VECTOR_FLAG.match, value.split())))
    except OSError:
        pass
    return ""


def _runtimes() -> str:
    found = []
    for name in RUNTIMES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


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
