"""Whether the daemon stood still: suspended, stopped, or without processor time.

Nothing was inspected meanwhile, and no camera reports it: after a suspend the cameras
deliver as before.

Source:
    clock_gettime(2): CLOCK_BOOTTIME goes on while the machine is suspended,
    CLOCK_MONOTONIC does not.
"""

import logging
from datetime import datetime

STANDSTILL_S = 10.0  # a busy machine delays a thread by a second or two
ALARM_S = 600.0
logger = logging.getLogger(__name__)


class StandstillMonitor:
    """Compares the times of successive checks. Used by one thread.

    Attributes:
        fault: When the daemon stood still lately, and how long; empty = it did not.
    """

    def __init__(self) -> None:
        self.fault = ""
        self._before_s: float | None = None
        self._until_s = 0.0

    def check(self, now_s: float, clock: datetime) -> None:
        """Note that the thread runs; called several times a second.

        Args:
            now_s: CLOCK_BOOTTIME.
            clock: Wall clock, for a person.
        """
        before_s, self._before_s = self._before_s, now_s
        gap_s = now_s - before_s if before_s is not None else 0.0
        if gap_s >= STANDSTILL_S:
            self.fault = (
                f"the daemon stood still for {gap_s:.0f} s until {clock:%H:%M:%S} UTC "
                "(suspended, stopped, or no processor time): nothing was inspected"
            )
            self._until_s = now_s + ALARM_S
            logger.error("daemon_stood_still gap_s=%.0f", gap_s)
        elif self.fault and now_s >= self._until_s:
            self.fault = ""
