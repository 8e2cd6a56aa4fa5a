"""Runs the self-test in a separate process, which may crash, hang or leak memory.

A model file is code for a large native library. Flashing only reads the exit code and
the report of the process, and a running daemon continues to inspect: the self-test has
a time limit, a memory limit, a lower priority, and is the first process that the kernel
kills when memory runs out.
"""

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from deploy.results import SelftestReport
from models.errors import InstallError
from models.files import read_regular
from models.package import Package

INSTALLED_IN = Path(__file__).resolve().parents[2]  # the folder of graftline.py
TIMEOUT_S = 300.0  # six run modes of 50 frames at a second each
MEMORY_BYTES = 4 << 30
GRACE_S = 5.0  # for a native call that does not return to Python
NICENESS = 10
MAX_OOM_SCORE = b"1000"  # /proc/<pid>/oom_score_adj: killed first
SHOWN_CHARACTERS = 600
STATUS_MAX_BYTES = 1 << 16  # /proc/self/status has 1.5 kB


@dataclass(frozen=True, slots=True)
class Selftest:
    """Command and limits of the self-test's process.

    Attributes:
        command: Program and first arguments; the package's folder and ``--json``
            follow.
        timeout_s: Time after which it is killed.
        memory_bytes: Memory that it may allocate (``RLIMIT_DATA``: heap and private
            mappings; the address space itself is not limited, because the runtimes
            reserve far more than they use).
    """

    # -P: modules in the operator's current folder are not imported.
    command: tuple[str, ...] = (sys.executable, "-P", "-m", "graftline", "selftest")
    timeout_s: float = TIMEOUT_S
    memory_bytes: int = MEMORY_BYTES

    def run(self, package: Package) -> SelftestReport:
        """Run the self-test of a verified package and return its report.

        Raises:
            InstallError: It crashed, hung, or printed something other than a report.
        """
        name = f"{package.manifest.name} build {package.manifest.build}"
        child = subprocess.Popen(
            [*self.command, str(package.folder), "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # to kill it with all its children
        )
        try:
            self._limit(child.pid)
            output, errors = child.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired as exc:
            raise InstallError(
                f"{name}: the self-test did not end within {self.timeout_s:g} s.",
                why="The model hangs, or is far too slow for this machine.",
                fix="Train a smaller detector; the line PC keeps the model it has.",
            ) from exc
        finally:
            _kill(child)
        return self._report(name, child.returncode, output, errors)

    def _limit(self, pid: int) -> None:
        """Limit a child that has just started."""
        try:
            for kind, limit in limits(self.timeout_s, self.memory_bytes).items():
                resource.prlimit(pid, kind, (limit, limit))
            niceness = min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
            os.setpriority(os.PRIO_PROCESS, pid, niceness)
            Path(f"/proc/{pid}/oom_score_adj").write_bytes(MAX_OOM_SCORE)
        except (ProcessLookupError, FileNotFoundError):
            return  # it has ended already; its exit code is reported

    def _report(
        self, name: str, exit_code: int, output: bytes, errors: bytes
    ) -> SelftestReport:
        """Return the report on the child's stdout."""
        stderr = _end_of(errors)
        if exit_code not in (0, InstallError.exit_code):
            raise InstallError(
                f"{name}: the self-test {_description(exit_code)}.",
                why=f"{stderr or 'It printed nothing.'} (It may use "
                f"{self.memory_bytes >> 20} MiB of memory.)",
                fix="Run `graftline selftest PACKAGE` here to see more; the line PC "
                "keeps the model it has.",
            )
        try:
            return SelftestReport.model_validate_json(output)
        except ValidationError as exc:
            raise InstallError(
                f"{name}: the self-test gave no report.",
                why=stderr or f"Expected one JSON, got {output[:80]!r}.",
                fix="Run `graftline selftest PACKAGE --json` here to see more.",
            ) from exc


def limits(
    timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES
) -> dict[int, int]:
    """Return the limits of a process that runs a foreign model, by ``RLIMIT_*``."""
    return {
        # On all cores: a self-test still ends if the flash was killed.
        resource.RLIMIT_CPU: int(timeout_s * (os.cpu_count() or 1)) + 1,
        resource.RLIMIT_DATA: memory_bytes,
        resource.RLIMIT_CORE: 0,
    }


@contextmanager
def limited_self(timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """Limit this process inside the block as ``flash`` limits the self-test.

    Raises:
        InstallError: The time is over, or the memory was not enough.
    """

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise InstallError(
            f"The self-test did not end within {timeout_s:g} s.",
            why="The model hangs, or is far too slow for this machine.",
            fix="Train a smaller detector.",
        )

    before_limits = {kind: resource.getrlimit(kind) for kind in limits()}
    for kind, limit in limits(timeout_s).items():
        soft, hard = before_limits[kind]
        limit += _used_before(kind)  # noqa: PLW2901 (the limits count the whole process)
        lowest = min(each for each in (soft, limit) if each != resource.RLIM_INFINITY)
        resource.setrlimit(kind, (lowest, hard))
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    # A native library does not return to Python: this thread ends the process then.
    last = threading.Timer(timeout_s + GRACE_S, _end_process)
    last.name, last.daemon = "selftest-limit", True
    last.start()
    try:
        yield
    except MemoryError as exc:
        raise InstallError(
            "The self-test needs too much memory.",
            why=f"It may use {MEMORY_BYTES >> 20} MiB.",
            fix="Train a smaller detector.",
        ) from exc
    finally:
        last.cancel()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        for kind, limit_pair in before_limits.items():
            resource.setrlimit(kind, limit_pair)


def _used_before(kind: int) -> int:
    """Return how much of a limit this process has used, in the unit of the limit."""
    if kind == resource.RLIMIT_CPU:
        return int(time.process_time())
    if kind == resource.RLIMIT_DATA:
        status = read_regular(Path("/proc/self/status"), STATUS_MAX_BYTES)
        used = re.search(rb"^VmData:\s*(\d+) kB", status, re.MULTILINE)
        return int(used[1]) << 10 if used else 0
    return 0


def _end_process() -> None:
    os.write(2, b"error: The self-test did not end in time: the model hangs.\n")
    os._exit(InstallError.exit_code)


def _environment() -> dict[str, str]:
    """Return the child's environment: it must find the same Graftline."""
    before = os.environ.get("PYTHONPATH")
    path = f"{INSTALLED_IN}{os.pathsep}{before}" if before else str(INSTALLED_IN)
    return {**os.environ, "PYTHONPATH": path}


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the process and all its children, and close its pipes."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate(timeout=10)
    for pipe in (child.stdout, child.stderr):
        if pipe:
            pipe.close()


def _description(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"


def _end_of(errors: bytes) -> str:
    """Return the end of stderr on one line."""
    text = " ".join(errors.decode(errors="replace").split())
    return text.removeprefix("error: ")[-SHOWN_CHARACTERS:]
