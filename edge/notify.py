"""The daemon's word to systemd: one datagram to the socket in ``NOTIFY_SOCKET``.

Without that variable (a terminal, a test) nothing is sent. A word that cannot be sent
is logged once and never stops anything.

Source:
    sd_notify(3); the socket's name is a path, or abstract where it begins with ``@``.
"""

import logging
import os
import socket
from collections.abc import Mapping
from typing import Self

SOCKET_VARIABLE = "NOTIFY_SOCKET"
PERIOD_VARIABLE = "WATCHDOG_USEC"
PID_VARIABLE = "WATCHDOG_PID"
logger = logging.getLogger(__name__)


class Notifier:
    """Tells the service manager how the daemon is.

    Args:
        address: Of its socket; empty = there is none.
        watchdog_s: It restarts the daemon when ``feed`` was not called for so long;
            0 = it does not.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0) -> None:
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._is_failing = False

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """Return the one that systemd asks for.

        Args:
            variables: Of this process.
        """
        period = variables.get(PERIOD_VARIABLE, "")
        is_ours = variables.get(PID_VARIABLE, str(os.getpid())) == str(os.getpid())
        watchdog_s = int(period) / 1e6 if period.isdecimal() and is_ours else 0
        return cls(variables.get(SOCKET_VARIABLE, ""), watchdog_s)

    def ready(self) -> None:
        """Say that the start is complete."""
        self._send("READY=1")

    def feed(self) -> None:
        """Say that the daemon makes progress."""
        self._send("WATCHDOG=1")

    def status(self, line: str) -> None:
        """Say how it goes.

        Args:
            line: For ``systemctl status``.
        """
        self._send(f"STATUS={' '.join(line.split())}")

    def stopping(self) -> None:
        """Say that the daemon ends in order."""
        self._send("STOPPING=1")

    def _send(self, word: str) -> None:
        """Send a word, without waiting."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
                door.settimeout(0)
                door.sendto(word.encode(), self._address)
        except OSError as exc:
            if not self._is_failing:
                logger.warning("notify_failed word=%s reason=%s", word, exc)
            self._is_failing = True
        else:
            self._is_failing = False
