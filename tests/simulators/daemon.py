"""A line PC in a temporary folder: configuration, model, and the real daemon."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.package import Package
from models.slot_files import Health, read_file
from models.topics import StationTopics
from tests.simulators.packages import install_package, make_package
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
END_LIMIT_S = 60.0


def camera_table(name: str, source: object, **options: object) -> str:
    """Return a ``[[camera]]`` of the configuration."""
    lines = ["[[camera]]", f'name = "{name}"', f'source = "{source}"']
    lines += [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


class DaemonPc:
    """A line PC with a small real model, on which the real daemon is started.

    Args:
        folder: Of the slot, the configuration and all that the daemon writes.
        port: Of the broker.
        package: The model; a small one is made by default.
        stalled_after_s: When ``--exit-at-end`` gives up.
        broker: Further lines of ``[broker]``.
    """

    topics = StationTopics("site", "line", "station")

    def __init__(
        self,
        folder: Path,
        port: int,
        package: Package | None = None,
        stalled_after_s: float = 20,
        broker: str = "",
    ) -> None:
        self.folder = folder
        self.port = port
        self.slot = install_package(
            folder / "slot", package or make_package(folder / "package")
        )
        self.config = folder / "edge.toml"
        self.log = folder / "daemon.log"
        self.program = [sys.executable, str(ROOT / "graftline.py")]
        self.environment: dict[str, str] = {}
        self.tables = ""  # further tables of the configuration
        self.broker_lines = ""  # further lines of [broker]
        self._head = f"""
[station]
site = "site"
line = "line"
station = "station"

[model]
slot = "slot"
threads = 1
poll_interval_s = 0.1

[broker]
port = BROKER_PORT
reconnect_max_s = 0.5
{broker}

[outbox]
path = "outbox.sqlite"
stalled_after_s = {stalled_after_s}

[evidence]
folder = "evidence"

[health]
interval_s = 0.2
progress_interval_s = 0.5

"""

    def start(self, *cameras: str, at_end: bool = True) -> "subprocess.Popen[str]":
        """Start the daemon; its stderr goes to ``daemon.log``."""
        self.write_config(*cameras)
        arguments = ["run", "--config", str(self.config), "--json"]
        arguments += ["--exit-at-end"] if at_end else []
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.program, *arguments],
                stdin=subprocess.DEVNULL,  # no terminal: SIGHUP is a reload
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                start_new_session=True,  # a terminal's Ctrl-C goes to a whole group
            )

    @contextmanager
    def running(self, *cameras: str) -> Iterator["subprocess.Popen[str]"]:
        """Start the daemon without an end of its own; it is killed after the block."""
        process = self.start(*cameras, at_end=False)
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=10)

    def write_config(self, *cameras: str) -> None:
        """Write ``edge.toml``."""
        lines = f"{self.port}\n{self.broker_lines}"
        head = self._head.replace("BROKER_PORT", lines)
        text = "\n".join((head, self.tables, *cameras))
        self.config.write_text(text, encoding="utf-8")

    def run(self, *cameras: str) -> tuple[int, dict[str, Any], str]:
        """Run the daemon to its end; return exit code, figures and stderr."""
        process = self.start(*cameras)
        code, figures = self.end_of(process)
        return code, figures, self.stderr

    def end_of(self, process: "subprocess.Popen[str]") -> tuple[int, dict[str, Any]]:
        """Wait for the daemon's end; return its exit code and figures."""
        try:
            out, _ = process.communicate(timeout=END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return process.returncode, json.loads(out) if out else {}

    @property
    def stderr(self) -> str:
        """All that the daemon wrote on stderr."""
        return self.log.read_text("utf-8")

    @property
    def health(self) -> Health | None:
        """The status that the daemon last wrote into its slot; None = none yet."""
        return read_file(self.slot.health, Health)

    def wait_until_inspecting(self, frames: int = 1) -> None:
        """Wait until the daemon has inspected some frames."""
        until(lambda: bool(self.health and self.health.frames_inspected >= frames))


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that live."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8")
    return [int(child) for child in text.split()]


def camera_processes_of(pid: int) -> list[int]:
    """Return the daemon's camera processes."""
    return [
        child
        for child in children_of(pid)
        if b"multiprocessing.spawn" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def is_alive(pid: int) -> bool:
    """Return whether a process lives (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.split()[0] != "Z"


def kill(pid: int) -> None:
    """Kill a process with SIGKILL."""
    os.kill(pid, signal.SIGKILL)
