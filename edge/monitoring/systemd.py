"""The daemon as a systemd service: notifications, and the watchdog of its loops.

Notifications are datagrams to the socket in ``NOTIFY_SOCKET``. Without that variable (a
terminal, a test) nothing is sent. A datagram that cannot be sent is logged once and
never stops anything.

A thread compares the iterations of the critical loops: cameras, inference, recorder and
outbox. While one of them hangs, or a critical thread has ended, the watchdog is not
notified and systemd restarts the daemon; without systemd it is only logged. A loop
iterates also while it has nothing to do, so no iteration means that it hangs. A slow
loop is not stuck: one iteration since all was well is enough, however long it took. The
broker does not count: a restart does not bring it back.

Source:
    sd_notify(3); the socket's name is a path, or abstract where it begins with ``@``.
"""

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Self

from models.messages import DaemonState

logger = logging.getLogger(__name__)

SOCKET_VARIABLE = "NOTIFY_SOCKET"
PERIOD_VARIABLE = "WATCHDOG_USEC"
PID_VARIABLE = "WATCHDOG_PID"

CHECK_INTERVAL_S = 1.0
CHECKS_PER_PERIOD = 4  # a late check must not be too late for systemd's period
STATUS_INTERVAL_S = 5.0
STUCK_AFTER_MS = 5000  # logged as an error from here on
STOP_LIMIT_S = 1.0


class SystemdNotifier:
    """Sends notifications to the service manager.

    Args:
        address: Path or abstract name of its socket; empty = no service manager.
        watchdog_s: It restarts the daemon when ``notify_watchdog`` was not called for
            so long; 0 = it does not.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0) -> None:
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._is_failing = False

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """Return a notifier as the variables of this process require it."""
        period = variables.get(PERIOD_VARIABLE, "")
        pid = str(os.getpid())
        is_for_us = variables.get(PID_VARIABLE, pid) == pid
        watchdog_s = int(period) / 1e6 if period.isdecimal() and is_for_us else 0
        return cls(variables.get(SOCKET_VARIABLE, ""), watchdog_s)

    def notify_ready(self) -> None:
        """Report that the start is complete."""
        self._send("READY=1")

    def notify_watchdog(self) -> None:
        """Report that the daemon makes progress."""
        self._send("WATCHDOG=1")

    def notify_status(self, line: str) -> None:
        """Send a line for ``systemctl status``."""
        self._send(f"STATUS={' '.join(line.split())}")

    def notify_stopping(self) -> None:
        """Report that the daemon shuts down in order."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify_socket:
                notify_socket.settimeout(0)  # a full socket must not block
                notify_socket.sendto(message.encode(), self._address)
        except OSError as exc:
            if not self._is_failing:
                logger.warning("notify_failed word=%s reason=%s", message, exc)
            self._is_failing = True
        else:
            self._is_failing = False


@dataclass(frozen=True, slots=True)
class WatchdogResult:
    """The result of one check."""

    # loops without an iteration since all was well, and threads that ended
    stuck: tuple[str, ...]
    since_ms: int  # time since all was well; 0 = all is well

    @property
    def is_well(self) -> bool:
        """Whether systemd's watchdog may be notified."""
        return not self.stuck


class Watchdog:
    """Compares the iterations of loops with those when all was well. Pure."""

    def __init__(self) -> None:
        self._iterations: dict[str, int] = {}
        self._well_ns = 0

    def check(
        self, iterations: Mapping[str, int], ended: Collection[str], now_ns: int
    ) -> WatchdogResult:
        """Return which loops made no progress.

        Args:
            iterations: Name of a loop to its number of iterations.
            ended: Names of critical threads that have ended.

        >>> watchdog = Watchdog()
        >>> watchdog.check({"outbox": 1}, (), 0).is_well
        True
        >>> watchdog.check({"outbox": 1}, (), 3_000_000_000)
        WatchdogResult(stuck=('outbox',), since_ms=3000)
        >>> watchdog.check({"outbox": 2}, (), 4_000_000_000).is_well
        True
        """
        unchanged = {
            name
            for name, count in iterations.items()
            if self._iterations.get(name) == count
        }
        stuck = tuple(sorted(unchanged.union(ended)))
        if not stuck:
            self._iterations, self._well_ns = dict(iterations), now_ns
            return WatchdogResult((), 0)
        return WatchdogResult(stuck, (now_ns - self._well_ns) // 1_000_000)


class Heartbeats:
    """Number of iterations of each critical loop.

    Args:
        counters: Loops that count for themselves: name to a reader of the count.
    """

    def __init__(self, counters: Mapping[str, Callable[[], int]]) -> None:
        self._counters = dict(counters)
        self._beats: Counter[str] = Counter()

    def beat(self, loop: str) -> None:
        """Count one iteration; a loop is watched from its first.

        Args:
            loop: Name of the loop; each is counted by one thread only.
        """
        self._beats[loop] += 1

    def counts(self) -> dict[str, int]:
        """Return the number of iterations of every loop."""
        read = {name: counter() for name, counter in self._counters.items()}
        return {**self._beats.copy(), **read}


class WatchdogReporter:
    """Checks the loops in a thread and notifies the service manager.

    Args:
        threads: Names of threads that live as long as the daemon.
        status_line: Returns the line for ``systemctl status``.

    Attributes:
        stuck: Loops that have hung for a while, and threads that ended.
    """

    def __init__(
        self,
        notifier: SystemdNotifier,
        heartbeats: Heartbeats,
        threads: tuple[str, ...],
        state: Callable[[], DaemonState],
        status_line: Callable[[], str],
    ) -> None:
        self.stuck: tuple[str, ...] = ()
        self._notifier, self._heartbeats = notifier, heartbeats
        self._threads = threads
        self._state, self._status_line = state, status_line
        self._watchdog = Watchdog()
        self._is_ready = self._is_stuck = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)

    @property
    def fault(self) -> str:
        """Which loops hang, for a person; empty = none.

        Without systemd's watchdog nothing restarts the daemon.
        """
        if not self.stuck:
            return ""
        return f"no progress in {', '.join(self.stuck)}. Fix: restart the daemon"

    def start(self) -> None:
        """Start to check; every thread that is watched has been started."""
        self._thread.start()

    def stop(self) -> None:
        """Report the shutdown and stop the thread."""
        self._stop.set()
        self._notifier.notify_stopping()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)

    def _run(self) -> None:
        period_s = self._notifier.watchdog_s or CHECKS_PER_PERIOD
        interval_s = min(CHECK_INTERVAL_S, period_s / CHECKS_PER_PERIOD)
        sent_s = 0.0
        while not self._stop.wait(interval_s):
            try:
                self.check()
                if time.monotonic() - sent_s >= STATUS_INTERVAL_S:
                    sent_s = time.monotonic()
                    self._notifier.notify_status(self._status_line())
            # The top of the thread: a bug here leaves systemd's watchdog unnotified.
            except Exception:
                logger.exception("service_report_failed")

    def check(self) -> None:
        """Check the loops once; notify systemd's watchdog if all make progress."""
        alive = {thread.name for thread in threading.enumerate()}
        ended = [name for name in self._threads if name not in alive]
        counts = self._heartbeats.counts()
        result = self._watchdog.check(counts, ended, time.monotonic_ns())
        self._log(result)
        if not self._is_ready and self._state() is not DaemonState.INIT:
            self._is_ready = True
            self._notifier.notify_ready()
        if result.is_well:
            self._notifier.notify_watchdog()

    def _log(self, result: WatchdogResult) -> None:
        """Log that something hangs, and that it does no longer; once each."""
        # At half of systemd's period at the latest: before the daemon is killed.
        limit_ms = min(
            STUCK_AFTER_MS, self._notifier.watchdog_s * 500 or STUCK_AFTER_MS
        )
        self.stuck = result.stuck if result.since_ms > limit_ms else ()
        if self.stuck and not self._is_stuck:
            self._is_stuck = True
            logger.error(
                "watchdog_not_fed stuck=%s for_ms=%d",
                *(",".join(result.stuck), result.since_ms),
            )
        elif result.is_well and self._is_stuck:
            self._is_stuck = False
            logger.warning("watchdog_fed_again")
