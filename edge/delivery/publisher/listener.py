"""Who hears what a broker answers."""

from typing import Protocol

from edge.delivery.feed import Packet


class Listener(Protocol):
    """Hears of events; the daemon's is its feed. Called inside the network loop."""

    def confirmed(self, packet: Packet, now_ns: int) -> None:
        """Take notice that the broker has an event."""

    def refused(self, packet: Packet, now_ns: int) -> None:
        """Take notice that the broker does not want an event."""

    def acknowledged(self, payload: bytes, now_ns: int) -> None:
        """Take notice of a collector's word."""
