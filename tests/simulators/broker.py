"""A real mosquitto on a free loopback port, which a test can kill and restart."""

import contextlib
import functools
import itertools
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM, Signals
from typing import Self

import pytest

MOSQUITTO = shutil.which("mosquitto") or shutil.which(
    "mosquitto", path="/usr/sbin:/usr/local/sbin"
)
START_LIMIT_S = 10.0


# Below the ports that the system gives to clients: a client that tries again and again
# where no server listens yet can be given that very port, and connect to itself.
SERVER_PORTS = range(12_000, 32_000)
WORKERS_MAX = 8  # tests that run at the same time take ports of their own


def free_port() -> int:
    """Return a TCP port of the loopback interface that is free now.

    None is returned twice before all were: a server may not listen yet on one that
    was returned before.
    """
    while True:
        port = next(_ports())
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@functools.cache
def _ports() -> Iterator[int]:
    """Return the ports of this worker in a random order, again and again."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(SERVER_PORTS[worker % WORKERS_MAX :: WORKERS_MAX])
    random.SystemRandom().shuffle(ports)
    return itertools.cycle(ports)


class Broker:
    """Mosquitto with its configuration and persistence in one folder.

    Args:
        folder: Where it keeps its files.
        extra: Further lines of mosquitto.conf.
        port: Loopback port; 0 = a free one.
    """

    def __init__(self, folder: Path, extra: str = "", port: int = 0) -> None:
        self.port = port or free_port()
        self.folder = folder
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {folder}/\n"
            f"autosave_interval 1\nuser root\nset_tcp_nodelay true\n{extra}\n",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Broker":
        """Start it and wait until it accepts connections."""
        if MOSQUITTO is None:
            pytest.skip("needs mosquitto (apt-get install mosquitto)")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=1),
            ):
                return self
            time.sleep(0.02)
        message = f"mosquitto did not start: see {self.folder}/mosquitto.log"
        raise RuntimeError(message)

    def signal(self, number: Signals) -> None:
        """Send it a signal, for example SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it with SIGKILL and wait for its end."""
        self._end(SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(SIGTERM)

    def _end(self, number: Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(SIGCONT)
        self._process.send_signal(number)
        self._process.wait(timeout=10)
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
