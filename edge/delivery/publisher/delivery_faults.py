"""Faults of the delivery that only a person can fix.

An unreachable broker raises none here: the publisher connects when it is reachable
again, and reports one that is not for a minute. A refusal raises one: an access list
that denies a topic, a login or a certificate that is not accepted, a second client with
the same id, a collector that does not answer although the broker does.
"""

import logging
from collections import deque

# Two clients with the same id reach this within seconds; a broker that restarts does
# not.
FLAPS = 5
FLAP_WINDOW_S = 60.0
logger = logging.getLogger(__name__)


class DeliveryFaults:
    """The active alarms; each is logged when it is raised and when it ends.

    One thread raises and clears, any thread may read ``text``.

    Attributes:
        text: All of them on one line; empty = no alarm.
    """

    def __init__(self) -> None:
        self.text = ""
        self._standing: dict[str, str] = {}

    def raise_alarm(self, key: str, text: str) -> None:
        """Raise an alarm, or change its text; nothing happens if it is active already.

        Args:
            key: Identifies it, for ``clear``.
            text: What is wrong, for a person.
        """
        if self._standing.get(key) != text:
            logger.error("delivery_alarm about=%s text=%r", key, text)
            self._standing[key] = text
            self.text = "; ".join(self._standing.values())

    def clear(self, key: str) -> None:
        """End an alarm, if it is active."""
        if self._standing and self._standing.pop(key, None) is not None:
            logger.info("delivery_alarm_over about=%s", key)
            self.text = "; ".join(self._standing.values())


class FlapDetector:
    """Detects connections that end again and again.

    Two clients with the same id disconnect each other endlessly, and the broker gives
    no reason. A very bad network has the same effect: a person must fix either.

    Source:
        Two paho clients with the same id: 9 connects in 8 s, reason "Unspecified error"
        with MQTT 5 too (mosquitto 2.0.11).

    Attributes:
        is_flapping: ``FLAPS`` connections within ``FLAP_WINDOW_S``, and none since
            that lasted as long.
    """

    def __init__(self) -> None:
        self.is_flapping = False
        self._opened_s: deque[float] = deque(maxlen=FLAPS)

    def opened(self, now_s: float) -> None:
        """Note a new connection, at a time of the monotonic clock."""
        self._opened_s.append(now_s)
        if len(self._opened_s) == FLAPS and now_s - self._opened_s[0] <= FLAP_WINDOW_S:
            self.is_flapping = True

    def forgive(self) -> None:
        """Do not count the newest connection: the reason of its end is known."""
        if self._opened_s:
            self._opened_s.pop()

    def holds(self, now_s: float) -> None:
        """Note that the newest connection is open, at a time of the monotonic clock."""
        newest_s = self._opened_s[-1] if self._opened_s else now_s
        if self.is_flapping and now_s - newest_s >= FLAP_WINDOW_S:
            self.is_flapping = False
            self._opened_s.clear()
