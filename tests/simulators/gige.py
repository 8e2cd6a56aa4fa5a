"""A GigE Vision camera on the loopback interface: Aravis' own, in a process.

It uses the port of the standard, so there is only one at a time; it runs in a process
of its own, so a test can kill it.
"""

import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from edge.cameras.sources.aravis import load_aravis

ROOT = Path(__file__).resolve().parents[2]
SERIAL = "GRAFTLINE01"
ANSWER_LIMIT_S = 30.0


class GigeSimulator:
    """The camera. Its serial number is ``SERIAL``.

    Attributes:
        source: In the grammar of the configuration.
    """

    source = "aravis:127.0.0.1"

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulators.gige"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def lose(self, share: float) -> None:
        """Lose a share of the packets from now on."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{float(share)}\n")
        self._process.stdin.flush()
        assert self._answer() == f"loses {float(share)}"

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=ANSWER_LIMIT_S)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def needs_aravis() -> None:
    """Skip a test where this Python cannot load Aravis."""
    program = "from edge.cameras.sources.aravis import load_aravis; load_aravis()"
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=ANSWER_LIMIT_S,
    )
    if found.returncode != 0:
        reason = found.stderr.strip().splitlines()[-1]
        if "_gi" in reason:  # the bindings are there, built for another Python
            pytest.skip(f"needs the Python of Debian's python3-gi: {reason}")
        pytest.skip(f"needs Aravis: {reason}")


def main() -> None:
    """Run the camera until standard input ends; each line is a share to lose."""
    aravis, _ = load_aravis()
    camera = aravis.GvFakeCamera.new_full("lo", SERIAL, None)
    if not camera.is_running():
        sys.exit("port 3956 of the loopback interface is taken")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        camera.set_property("gvsp-lost-ratio", float(line))
        sys.stdout.write(f"loses {float(line)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
