"""The daemon's word to systemd: one datagram to the socket in ``NOTIFY_SOCKET``.

Without that variable (a terminal, a test) nothing is sent. A word that cannot be sent
is logged once and never stops anything.

Source:
    sd_notify(3); the socket's name is a path, or abstract where it begins with ``@``.

The daemon as a service: ready when it is, and fed only while it makes progress.

A thread of its own compares the turns of the critical loops: cameras, inference,
recorder and outbox. Where one of them hangs, or a thread has ended, systemd hears
nothing any more and starts the daemon anew; without systemd the log says it.

When the daemon may say that it lives: every loop has turned, no thread has ended.

Pure: no clock, no thread. A loop turns also while it has nothing to do, so no turn
means that it hangs. Who is slow but turns is not stuck: what counts is one turn since
the last time that all was well, however long it took. The broker has no say in this: a
restart does not bring it back.
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


class SystemdNotifier:
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


@dataclass(frozen=True, slots=True)
class WatchdogResult:
    """What one look found.

    Attributes:
        stuck: Loops that have not turned since all was well, and threads that ended.
        since_ms: For how long all is not well; 0 where it is.
    """

    stuck: tuple[str, ...]
    since_ms: int

    @property
    def is_well(self) -> bool:
        """Whether the watchdog may be fed."""
        return not self.stuck


class Watchdog:
    """Compares the turns of loops with those of the last time that all was well."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}
        self._well_ns = 0

    def look(
        self, turns: Mapping[str, int], ended: Collection[str], now_ns: int
    ) -> WatchdogResult:
        """Return whether every loop made progress.

        Args:
            turns: Name of a loop to how often it has turned.
            ended: Threads that are gone and should not be.
            now_ns: Monotonic clock.

        >>> watchdog = Watchdog()
        >>> watchdog.look({"outbox": 1}, (), 0).is_well
        True
        >>> watchdog.look({"outbox": 1}, (), 3_000_000_000)
        Look(stuck=('outbox',), since_ms=3000)
        >>> watchdog.look({"outbox": 2}, (), 4_000_000_000).is_well
        True
        """
        still = {
            name for name, count in turns.items() if self._turns.get(name) == count
        }
        stuck = tuple(sorted(still.union(ended)))
        if not stuck:
            self._turns, self._well_ns = dict(turns), now_ns
            return WatchdogResult((), 0)
        return WatchdogResult(stuck, (now_ns - self._well_ns) // 1_000_000)


LOOK_INTERVAL_S = 1.0
LOOKS_PER_PERIOD = 4  # one that comes late must not be one too late
STATUS_INTERVAL_S = 5.0
STUCK_AFTER_MS = 5000  # worth a word in the log
STOP_LIMIT_S = 1.0


class Heartbeat:
    """How often each critical loop has turned.

    Args:
        counters: Loops that count for themselves: name to a reader of the count.
    """

    def __init__(self, counters: Mapping[str, Callable[[], int]]) -> None:
        self._counters = dict(counters)
        self._beats: Counter[str] = Counter()

    def beat(self, loop: str) -> None:
        """Count one turn; a loop is known from its first.

        Args:
            loop: Its name; each is counted by one thread only.
        """
        self._beats[loop] += 1

    def turns(self) -> dict[str, int]:
        """Return the count of every loop."""
        read = {name: counter() for name, counter in self._counters.items()}
        return {**self._beats.copy(), **read}


class WatchdogReporter:
    """Looks at the loops and tells the service manager.

    Args:
        notifier: Way to systemd.
        pulse: The loops.
        threads: Names of threads that live as long as the daemon.
        state: Reads the daemon's state.
        line: Makes the line for a person.

    Attributes:
        stuck: Loops that have hung for a while, and threads that ended.
    """

    def __init__(
        self,
        notifier: SystemdNotifier,
        pulse: Heartbeat,
        threads: tuple[str, ...],
        state: Callable[[], DaemonState],
        line: Callable[[], str],
    ) -> None:
        self.stuck: tuple[str, ...] = ()
        self._notifier, self._pulse, self._threads = notifier, pulse, threads
        self._state, self._line = state, line
        self._watchdog = Watchdog()
        self._is_ready = self._is_stuck = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)

    def start(self) -> None:
        """Start to look; every thread that it watches has been started."""
        self._thread.start()

    def stop(self) -> None:
        """Say that the daemon ends in order, and look no more."""
        self._stop.set()
        self._notifier.stopping()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)

    def _run(self) -> None:
        """Look again and again."""
        period_s = self._notifier.watchdog_s or LOOKS_PER_PERIOD
        interval_s = min(LOOK_INTERVAL_S, period_s / LOOKS_PER_PERIOD)
        told_s = 0.0
        while not self._stop.wait(interval_s):
            try:
                self._look()
                if time.monotonic() - told_s >= STATUS_INTERVAL_S:
                    told_s = time.monotonic()
                    self._notifier.status(self._line())
            # The top of the thread: a fault of ours leaves systemd unfed, no more.
            except Exception:
                logger.exception("service_report_failed")

    def _look(self) -> None:
        """Feed the watchdog if everything turns."""
        alive = {thread.name for thread in threading.enumerate()}
        ended = [name for name in self._threads if name not in alive]
        look = self._watchdog.look(self._pulse.turns(), ended, time.monotonic_ns())
        self._tell(look)
        if not self._is_ready and self._state() is not DaemonState.INIT:
            self._is_ready = True
            self._notifier.ready()
        if look.is_well:
            self._notifier.feed()

    def _tell(self, look: WatchdogResult) -> None:
        """Log that something hangs, and that it does no longer; once each."""
        limit_ms = min(
            STUCK_AFTER_MS, self._notifier.watchdog_s * 500 or STUCK_AFTER_MS
        )
        self.stuck = look.stuck if look.since_ms > limit_ms else ()
        if self.stuck and not self._is_stuck:
            self._is_stuck = True
            logger.error(
                "watchdog_not_fed stuck=%s for_ms=%d",
                *(",".join(look.stuck), look.since_ms),
            )
        elif look.is_well and self._is_stuck:
            self._is_stuck = False
            logger.warning("watchdog_fed_again")
