"""Outbox and publisher in memory, for tests of what is published about the daemon."""

from pydantic import BaseModel

from edge.delivery.outbox.outbox import QueuedEvent


class SimOutbox:
    """An outbox whose state a test sets."""

    def __init__(self) -> None:
        self.stream, self.is_failing, self.refused = "station-1-epoch", False, 0
        self.rows, self.fault = 0, ""
        self.events: list[QueuedEvent] = []

    def depth(self) -> int:
        return self.rows

    def read(
        self, _after: int, count: int, *, was_sent: bool = False
    ) -> list[QueuedEvent]:
        return [] if was_sent else self.events[:count]


class SimPublisher:
    """A publisher that keeps what is published."""

    def __init__(self) -> None:
        self.connected, self.problem, self.alarm = True, "", ""
        self.delivered, self.connects = 0, 1
        self.refused_acknowledgements = 0
        self.states: list[tuple[str, BaseModel]] = []
        self.stats: list[tuple[str, BaseModel]] = []

    def publish_state(
        self, topic: str, message: BaseModel, *, retain: bool = True
    ) -> None:
        del retain
        self.states.append((topic, message))

    def publish_stats(self, topic: str, message: BaseModel) -> None:
        self.stats.append((topic, message))

    def states_of(self, topic: str) -> list[BaseModel]:
        """Return the messages of one topic, in order."""
        return [message for at, message in self.states if at == topic]
