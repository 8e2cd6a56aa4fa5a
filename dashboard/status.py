"""How the collector itself is doing, for the page and for /healthz.

The wall clock of this machine, in the unit of the history.
"""

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """State of the connection to the broker.

    Attributes:
        address: ``host:port``.
        is_up: Connected and subscribed.
        since_ms: Wall clock of the last change, UTC.
        reason: Why it is down; empty when up.
        protocol: ``5`` or ``3.1.1``; empty before the first connection.
    """

    address: str
    is_up: bool
    since_ms: int
    reason: str = ""
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class CollectorStatus:
    """How the collector itself is doing.

    Attributes:
        link: Connection to the broker.
        failure: Why the history cannot be written; empty when it can.
        recorder_age_s: Since the recorder was last seen turning.
        duplicates: Events that came again, since start.
        dropped: Messages that there was no room for, since start.
        rejected: Messages that did not fit, by reason, since start.
        connections: How often the broker was reached, since start.
    """

    link: BrokerStatus
    failure: str
    recorder_age_s: float
    duplicates: int
    dropped: int
    rejected: dict[str, int]
    connections: int

    def as_json(self) -> dict[str, Any]:
        """Return what the page shows of it."""
        return {
            "broker": {
                "address": self.link.address,
                "is_up": self.link.is_up,
                "since_ms": self.link.since_ms,
                "reason": self.link.reason,
                "mqtt": self.link.protocol,
                "connections": self.connections,
            },
            "history": {"failure": self.failure},
            "duplicates": self.duplicates,
            "dropped": self.dropped,
            "rejected": self.rejected,
        }


NS_PER_MS = 1_000_000


def now_ms() -> int:
    """Return the wall clock in milliseconds since 1970, UTC."""
    return time.time_ns() // NS_PER_MS
