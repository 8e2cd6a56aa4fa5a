"""Status of the collector itself, for the page and for /healthz."""

import time
from dataclasses import asdict, dataclass
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
class NotifyStatus:
    """State of one receiver of notifications. Counters are since the start.

    Attributes:
        error: Why the last message could not be sent; empty when it was.
        since_ms: Wall clock since when it cannot, UTC.
        waiting: Notifications that are not sent yet.
        given_up: Notifications that were refused, or too old to be tried again.
        dropped: Notifications that were not kept because too many wait.
    """

    name: str
    error: str = ""
    since_ms: int = 0
    waiting: int = 0
    sent: int = 0
    given_up: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class CollectorStatus:
    """Status of connection and history. Counters are since the start.

    Attributes:
        failure: Why the history cannot be written; empty when it can.
        writer_age_s: Seconds since the writer's thread last ran.
        duplicates: Events that were received again.
        dropped: Messages dropped because the queue was full.
        rejected: Number of invalid messages, by reason.
        refused: The reasons of those of the last minutes, which the page shows.
        alarm: What a sender did lately that no station does; empty for nothing.
        connections: Logins that the broker has accepted.
        notify: The receivers of notifications.
        queued: Messages that wait to be stored.
        unjudged: Why the parts are not judged for alarms; empty when they are.
    """

    broker: BrokerStatus
    failure: str
    writer_age_s: float
    duplicates: int
    dropped: int
    rejected: dict[str, int]
    connections: int
    alarm: str = ""
    notify: tuple[NotifyStatus, ...] = ()
    queued: int = 0
    unjudged: str = ""
    refused: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the part that the page shows."""
        return {
            "broker": {
                "address": self.broker.address,
                "is_up": self.broker.is_up,
                "since_ms": self.broker.since_ms,
                "reason": self.broker.reason,
                "mqtt": self.broker.protocol,
                "connections": self.connections,
            },
            "history": {"failure": self.failure},
            "alarm": self.alarm,
            "unjudged": self.unjudged,
            "duplicates": self.duplicates,
            "dropped": self.dropped,
            "rejected": self.rejected,
            "refused": list(self.refused),
            "notify": [asdict(each) for each in self.notify],
        }


NS_PER_MS = 1_000_000


def now_ms() -> int:
    """Return the wall clock in milliseconds since 1970, UTC."""
    return time.time_ns() // NS_PER_MS
