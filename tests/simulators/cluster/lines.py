"""The processes of the lines, which are killed and started again."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from signal import SIGKILL

from tests.simulators.cluster.line_process import COMMITTED, DRAIN_LIMIT_S, OUTBOX
from tests.simulators.cluster.report import LineRecord
from tests.simulators.dashboard_process import REPOSITORY
from tests.waiting import until

START_LIMIT_S, END_LIMIT_S = 60.0, DRAIN_LIMIT_S + 60.0


class SimLine:
    """One line; its outbox outlives its process.

    Args:
        folder: For its files; created. Its name is that of the line.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.name, self.starts = folder, folder.name, 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, port: int) -> None:
        """Start it and wait until it inspects parts.

        Args:
            port: Of the broker.
        """
        module = "tests.simulators.cluster.line_process"
        arguments = (self.folder, self.name, port, self.starts)
        self.starts += 1
        said = self.folder / "started.txt"
        with said.open("wb") as out, (self.folder / "line.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=REPOSITORY,
                stdout=out,
                stderr=log,
            )
        until(
            lambda: self._is_running() and said.read_bytes(), self._log, START_LIMIT_S
        )

    def kill(self) -> None:
        """Kill it with SIGKILL and wait for its end."""
        if self._process is not None:
            self._process.send_signal(SIGKILL)
            self._process.wait(timeout=START_LIMIT_S)
            self._process = None

    def finish(self) -> None:
        """Let it inspect no further parts."""
        assert self._process is not None
        self._process.terminate()

    def wait(self) -> None:
        """Wait until it has delivered everything, or has given up."""
        assert self._process is not None
        self._process.wait(timeout=END_LIMIT_S)
        self._process = None

    def committed(self) -> list[str]:
        """Return the parts that it wrote down; the last name may be cut off."""
        path = self.folder / COMMITTED
        lines = (
            path.read_text("utf-8").splitlines(keepends=True) if path.exists() else ()
        )
        return [line.rstrip() for line in lines if line.endswith("\n")]

    def record(self) -> LineRecord:
        """Return what it has kept; its process must have ended."""
        with closing(sqlite3.connect(self.folder / OUTBOX)) as file:
            (raised,) = file.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'event'"
            ).fetchone()
            (left,) = file.execute("SELECT count(*) FROM event").fetchone()
        return LineRecord(self.name, self.starts, raised, left, self.committed())

    def _is_running(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log()
        return True

    def _log(self) -> str:
        return (self.folder / "line.log").read_text("utf-8")[-2000:]
