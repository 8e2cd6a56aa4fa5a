"""Recognizes that another client uses the MQTT client id of this one.

A broker of MQTT 5 may give it as the reason for the end of the connection. Others give
none (mosquitto 2.0.11, and all of MQTT 3.1.1): two clients of one id disconnect each
other without end, each login succeeds, and soon afterwards the connection is closed
without a reason. Where a login fails in between, the broker or the network is at fault.
"""

from models.mqtt_session import CLOSED, TAKEN_OVER

SHORT_S = 10.0  # two clients connect again within a second
SHORT_CONNECTIONS = 4  # in a row


class TakeoverDetector:
    """Judges the end of each connection."""

    def __init__(self) -> None:
        self._opened_s: float | None = None
        self._short = 0
        self._has_guessed = False

    def note_open(self, now_s: float) -> None:
        """Note that a login was accepted.

        Args:
            now_s: Monotonic clock.
        """
        self._opened_s = now_s

    def is_taken(self, reason: str, now_s: float) -> bool:
        """Return whether another client has taken the session of this connection.

        Args:
            reason: Why the connection ended, or could not be made.
            now_s: Monotonic clock.
        """
        opened_s, self._opened_s = self._opened_s, None
        if TAKEN_OVER in reason:
            return True
        if opened_s is None or reason != CLOSED or now_s - opened_s > SHORT_S:
            self._short = 0
            return False
        self._short += 1
        # Once: if it goes on with another id, the cause is another one.
        if self._short < SHORT_CONNECTIONS or self._has_guessed:
            return False
        self._has_guessed = True
        return True
