"""The service manager's ear: a ``NOTIFY_SOCKET`` that hears what a daemon says."""

import itertools
import socket
import threading
import time
from pathlib import Path
from typing import Self


class SimSystemd:
    """Hears a daemon, and knows when it would start it anew.

    Args:
        folder: Where its socket lies; a short path.
        watchdog_s: ``WatchdogSec=`` of the unit.
    """

    def __init__(self, folder: Path, watchdog_s: float) -> None:
        self.heard: list[tuple[float, str]] = []  # monotonic seconds, word
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

    def times_of(self, word: str) -> list[float]:
        """Return when a word was heard."""
        return [at for at, heard in self.heard if heard == word]

    @property
    def statuses(self) -> list[str]:
        """The lines for ``systemctl status``."""
        return [h.removeprefix("STATUS=") for _, h in self.heard if "STATUS=" in h]

    @property
    def would_restart(self) -> bool:
        """Whether the watchdog was not fed for longer than its period."""
        fed = self.times_of("WATCHDOG=1")
        return bool(fed) and time.monotonic() - fed[-1] > self._watchdog_s

    def longest_hunger_s(self) -> float:
        """Return the longest time between two feedings, up to now."""
        fed = [*self.times_of("WATCHDOG=1"), time.monotonic()]
        return max(b - a for a, b in itertools.pairwise(fed))

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                word = self._socket.recv(4096).decode()
            except TimeoutError:
                continue
            self.heard.append((time.monotonic(), word))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._socket.close()
        self._path.unlink()
