"""What waits in memory for the outbox's writer: events, and news about delivery.

Memory is bounded. While the disk takes nothing it is a ring: pictures go first, then
the oldest verdicts, the oldest alerts last. What went is told in a loss record as soon
as something can be written again.
"""

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from edge.delivery.outbox.events import EventKind, NewEvent

GROUP_MAX_EVENTS = 200
WAITING_MAX_BYTES = 64 << 20  # only ever filled when the disk takes nothing
ROOMY_SHARE = 7 / 8  # down to this at once: one walk makes much room
IMAGE = "image"
MARKS_INTERVAL_S = 0.25  # confirmations may be lost: they only save repetitions


@dataclass(slots=True)
class WriteBatch:
    """What one transaction writes.

    Attributes:
        puts: Events, in order, with the futures of their positions.
        acknowledged: Inclusive ranges of delivered positions, with their stream.
        confirmed: Positions that a broker has confirmed, with their stream.
        collector_seen: A collector has shown itself.
        lost: Per kind, how many went before they could be written, and the content
            of one of them.
    """

    puts: deque[tuple[NewEvent, "Future[int]"]] = field(default_factory=deque)
    acknowledged: list[tuple[str, int, int]] = field(default_factory=list)
    confirmed: set[tuple[str, int]] = field(default_factory=set)
    collector_seen: bool = False
    lost: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether there is anything to write."""
        return bool(
            self.puts or self.acknowledged or self.confirmed or self.collector_seen
        )

    def acknowledged_in(self, stream: str) -> list[tuple[int, int]]:
        """Return the delivered ranges of a stream; those of another mean others.

        Args:
            stream: That of the file.
        """
        return [(first, last) for of, first, last in self.acknowledged if of == stream]

    def confirmed_in(self, stream: str) -> list[int]:
        """Return the confirmed positions of a stream.

        Args:
            stream: That of the file.
        """
        return [seq for of, seq in self.confirmed if of == stream]

    @property
    def size_bytes(self) -> int:
        """Bytes of its events, about."""
        return sum(event.size_bytes for event, _ in self.puts)


class WriteQueue:
    """Hands work from many threads to one. Nobody who adds something ever waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = WriteBatch()
        self._next_bytes = 0
        self._again: WriteBatch | None = None  # could not be written
        self._dropped: list[Future[int]] = []
        self._in_hand = 0  # events taken, not on disk yet
        self._on_disk = 0
        self._is_closing = False

    @property
    def is_closing(self) -> bool:
        """Whether no more is taken in."""
        return self._is_closing

    @property
    def depth(self) -> int:
        """Events that wait, are being written, or are on disk."""
        with self._changed:
            return len(self._next.puts) + self._in_hand + self._on_disk

    @property
    def events(self) -> int:
        """Events that wait or are being written."""
        with self._changed:
            return len(self._next.puts) + self._in_hand

    def add_event(self, event: NewEvent) -> "Future[int] | None":
        """Add an event; none is returned where no more is taken in.

        Args:
            event: What to write. Older ones make room for it.
        """
        with self._changed:
            if self._is_closing or event.size_bytes > WAITING_MAX_BYTES:
                return None
            if self._next_bytes + event.size_bytes > WAITING_MAX_BYTES:
                self._make_room(int(WAITING_MAX_BYTES * ROOMY_SHARE))
            done: Future[int] = Future()
            self._next.puts.append((event, done))
            self._next_bytes += event.size_bytes
            self._changed.notify_all()
            return done

    def take_dropped(self) -> "list[Future[int]]":
        """Return the futures of events that went to make room, once."""
        with self._changed:
            dropped, self._dropped = self._dropped, []
            return dropped

    def _make_room(self, down_to_bytes: int) -> None:
        """Let the least important go, the oldest first."""
        for kind in (IMAGE, EventKind.VERDICT, EventKind.ALERT):
            kept: deque[tuple[NewEvent, Future[int]]] = deque()
            for event, done in self._next.puts:
                left = (
                    self._without(event, kind) if self._over(down_to_bytes) else event
                )
                if left is None:
                    self._dropped.append(done)
                else:
                    kept.append((left, done))
            self._next.puts = kept

    def _over(self, limit_bytes: int) -> bool:
        return self._next_bytes > limit_bytes

    def _without(self, event: NewEvent, kind: str) -> NewEvent | None:
        """Return what is left of an event when its kind has to go."""
        if kind == IMAGE and event.image is not None:
            left, gone_bytes = replace(event, image=None), len(event.image)
        elif event.kind == kind:
            left, gone_bytes = None, event.size_bytes
        else:
            return event
        self._next_bytes -= gone_bytes
        count, _ = self._next.lost.get(kind, (0, b""))
        self._next.lost[str(kind)] = (count + 1, event.data)
        return left

    def add_acknowledged(self, stream: str, ranges: list[tuple[int, int]]) -> None:
        """Add delivered positions.

        Args:
            stream: What they are positions of.
            ranges: Inclusive pairs.
        """
        with self._changed:
            self._next.acknowledged += [(stream, *each) for each in ranges]
            self._changed.notify_all()

    def add_confirmed(self, stream: str, seq: int) -> None:
        """Add a position that a broker has confirmed; it can wait a moment.

        Args:
            stream: What it is a position of.
            seq: Position.
        """
        with self._changed:
            self._next.confirmed.add((stream, seq))

    def add_collector(self) -> None:
        """Add that a collector has shown itself."""
        with self._changed:
            self._next.collector_seen = True
            self._changed.notify_all()

    def take(self) -> WriteBatch:
        """Return the next group; an empty one after a while without work."""
        with self._changed:
            if self._again is not None:
                group, self._again = self._again, None
                return group
            self._changed.wait_for(
                lambda: self._next.puts or self._next.acknowledged or self._is_closing,
                timeout=MARKS_INTERVAL_S,
            )
            group, rest = self._next, WriteBatch()
            while len(group.puts) > GROUP_MAX_EVENTS:
                rest.puts.appendleft(group.puts.pop())
            self._next = rest
            self._next_bytes -= group.size_bytes
            self._in_hand = len(group.puts)
            return group

    def written(self, rows_on_disk: int) -> None:
        """Note that the group taken last is on disk.

        Args:
            rows_on_disk: Events that are there now.
        """
        with self._changed:
            self._in_hand = 0
            self._on_disk = rows_on_disk

    def give_back(self, group: WriteBatch, pause_s: float) -> None:
        """Have a group that could not be written returned by the next ``take``.

        Args:
            group: The group taken last.
            pause_s: Time until the next attempt; cut short by ``close``.
        """
        with self._changed:
            self._again = group
            self._changed.wait_for(lambda: self._is_closing, timeout=pause_s)

    def close(self) -> None:
        """Take no more in, and wake the writer."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def drain(self) -> WriteBatch:
        """Return everything that was not written."""
        with self._changed:
            left, self._next, self._next_bytes = self._next, WriteBatch(), 0
            if self._again is not None:
                left.puts.extendleft(reversed(self._again.puts))
                self._again = None
            return left
