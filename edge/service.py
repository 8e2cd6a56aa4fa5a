"""The daemon as a service: ready when it is, and fed only while it makes progress.

A thread of its own compares the turns of the critical loops: cameras, inference,
recorder and outbox. Where one of them hangs, or a thread has ended, systemd hears
nothing any more and starts the daemon anew; without systemd the log says it.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from edge.notify import Notifier
from edge.watchdog import Look, Watchdog
from models.messages import DaemonState

logger = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
LOOKS_PER_PERIOD = 4  # one that comes late must not be one too late
STATUS_INTERVAL_S = 5.0
STUCK_AFTER_MS = 5000  # worth a word in the log
STOP_LIMIT_S = 1.0


class Pulse:
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


class ServiceReporter:
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
        notifier: Notifier,
        pulse: Pulse,
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

    def _tell(self, look: Look) -> None:
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
