"""The service manager's end of ``NOTIFY_SOCKET``: it records what a daemon sends."""

import itertools
import socket
import threading
import time
from pathlib import Path
from typing import Self


class SimSystemd:
    """Receives a daemon's messages, and knows when systemd would restart it.

    Args:
        folder: Of its socket; a short path.
        watchdog_s: ``WatchdogSec=`` of the unit.
    """

    def __init__(self, folder: Path, watchdog_s: float) -> None:
        self.received: list[tuple[float, str]] = []  # monotonic seconds, message
        self._watchdog_s = watchdog_s
        self._path = folder / "notify"
        self._stop = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._listen, name="sim-systemd")

    @property
    def environment(self) -> dict[str, str]:
        """What it gives to the daemon's process."""
        period = str(round(self._watchdog_s * 1e6))
        return {"NOTIFY_SOCKET": str(self._path), "WATCHDOG_USEC": period}

    def times_of(self, message: str) -> list[float]:
        """Return when a message was received, monotonic seconds."""
        return [at for at, received in self.received if received == message]

    @property
    def statuses(self) -> list[str]:
        """The lines for ``systemctl status``."""
        return [h.removeprefix("STATUS=") for _, h in self.received if "STATUS=" in h]

    @property
    def would_restart(self) -> bool:
        """Whether the watchdog was not fed for longer than its period."""
        fed = self.times_of("WATCHDOG=1")
        return bool(fed) and time.monotonic() - fed[-1] > self._watchdog_s

    def longest_gap_s(self) -> float:
        """Return the longest time between two watchdog messages, up to now."""
        fed = [*self.times_of("WATCHDOG=1"), time.monotonic()]
        return max(b - a for a, b in itertools.pairwise(fed))

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                message = self._socket.recv(4096).decode()
            except TimeoutError:
                continue
            self.received.append((time.monotonic(), message))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._socket.close()
        self._path.unlink()
