"""The outbox in a process of its own, which can be killed, starved and cheated.

``python -m tests.simulators.outbox_process FOLDER FIRST COUNT [MEGABYTES]`` puts alerts
in groups, as the daemon does, and prints ``accepted SEQ FRAME_ID`` only when the outbox
has committed it. With megabytes it then fills so much memory. Nothing is buffered: a
line is written before the next system call.
"""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.delivery.outbox.outbox import EventKind, Outbox
from tests.simulators.alerts import ALERT_TOPIC, TOPICS, alert

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = "outbox.db"
MAX_BYTES = 64 << 20
GROUP = 4
COMMIT_LIMIT_S = 60.0
LIMIT_S = 120.0


def command(folder: Path, first: int, count: int, megabytes: int = 0) -> list[str]:
    """Return how such a process is started."""
    numbers = (str(first), str(count), str(megabytes))
    module = "tests.simulators.outbox_process"
    return [sys.executable, "-m", module, str(folder), *numbers]


def run(
    command: Sequence[str], wrapper: Sequence[str] = (), **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run such a process to its end."""
    return subprocess.run(
        [*wrapper, *command],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def accepted(output: str) -> dict[int, int]:
    """Return the frame of each position that was reported as accepted."""
    fields = [line.split() for line in output.splitlines()]
    return {int(f[1]): int(f[2]) for f in fields if len(f) == 3 and f[0] == "accepted"}


def stored(folder: Path) -> dict[int, int]:
    """Return the frame of each position in the file, which must be whole."""
    connection = sqlite3.connect(folder / FILE)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        if ("event",) not in tables:
            return {}
        rows = connection.execute("SELECT seq, data FROM event ORDER BY seq")
        return {seq: json.loads(data)["frame_id"] for seq, data in rows}
    finally:
        connection.close()


def main() -> None:
    """Put alerts and print which are accepted."""
    folder, first, count, megabytes = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    outbox = Outbox(folder / FILE, TOPICS, MAX_BYTES)
    outbox.start()
    _print(f"open {outbox.stream} {outbox.last_seq}")
    for start in range(first, first + count, GROUP):
        frames = range(start, min(start + GROUP, first + count))
        futures = [
            outbox.put(EventKind.ALERT, ALERT_TOPIC, alert(frame)) for frame in frames
        ]
        for frame, future in zip(frames, futures, strict=True):
            _print(f"accepted {future.result(COMMIT_LIMIT_S)} {frame}")
    ballast = [bytearray(os.urandom(1 << 20)) for _ in range(megabytes)]
    _print(f"filled {len(ballast)}")
    outbox.close()
    _print("closed")


def _print(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    main()
