"""Work that waits in memory for the outbox's writer: events, and their delivery.

Memory is bounded. While the disk cannot be written, events are evicted in the order of
``eviction.EVICTION_ORDER``, the oldest of each kind first; a loss record names them
when the disk can be written again.
"""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from edge.delivery.outbox.events import NewEvent
from edge.delivery.outbox.eviction import EVICTION_ORDER, IMAGE

BATCH_MAX_EVENTS = 200
MEMORY_MAX_BYTES = 64 << 20  # reached only while the disk cannot be written
MEMORY_ROOMY_SHARE = 7 / 8  # evicts down to this, so that one pass frees much memory
# Confirmations may be lost: they only save repetitions. So they are written in groups.
CONFIRMATIONS_INTERVAL_S = 0.25


@dataclass(slots=True)
class WriteBatch:
    """Everything that one transaction writes.

    Attributes:
        puts: Events, in order, with the futures of their positions.
        acknowledged: Stream, first and last position of delivered ranges.
        confirmed: Stream and position of events that a broker has confirmed.
        lost: Per kind, how many events were evicted before they could be written, and
            the content of one of them.
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
        """Return the delivered ranges of a stream."""
        return [(first, last) for of, first, last in self.acknowledged if of == stream]

    def confirmed_in(self, stream: str) -> list[int]:
        """Return the confirmed positions of a stream."""
        return [seq for of, seq in self.confirmed if of == stream]

    def split(self) -> "deque[tuple[NewEvent, Future[int]]]":
        """Remove and return the second half of the events."""
        rest: deque[tuple[NewEvent, Future[int]]] = deque()
        for _ in range(len(self.puts) // 2):
            rest.appendleft(self.puts.pop())
        return rest

    def without_picture(self) -> "WriteBatch | None":
        """Return a batch of one event without its picture, which counts as lost.

        Returns:
            None if there are more events, or if the event has no picture.
        """
        if len(self.puts) != 1 or self.puts[0][0].image is None:
            return None
        event, done = self.puts[0]
        count, _ = self.lost.get(IMAGE, (0, b""))
        return replace(
            self,
            puts=deque([(replace(event, image=None), done)]),
            lost={**self.lost, IMAGE: (count + 1, event.data)},
        )

    @property
    def size_bytes(self) -> int:
        """Approximate size of its events in bytes."""
        return sum(event.size_bytes for event, _ in self.puts)


class WriteQueue:
    """Passes work from many threads to one. No method waits except ``take``."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = WriteBatch()
        self._next_bytes = 0
        self._unwritten: WriteBatch | None = None  # its write has failed
        self._evicted: list[Future[int]] = []
        self._in_hand = 0  # events taken, not on disk yet
        self._on_disk = 0
        self._is_closing = False

    @property
    def is_closing(self) -> bool:
        """Whether no more events are accepted."""
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
        """Add an event, for which less important ones may be evicted.

        Returns:
            The future of its position; None if it is not accepted: the queue is
            closing, or the event alone is larger than the memory.
        """
        with self._changed:
            if self._is_closing or event.size_bytes > MEMORY_MAX_BYTES:
                return None
            if self._next_bytes + event.size_bytes > MEMORY_MAX_BYTES:
                self._make_room(int(MEMORY_MAX_BYTES * MEMORY_ROOMY_SHARE))
            done: Future[int] = Future()
            self._next.puts.append((event, done))
            self._next_bytes += event.size_bytes
            self._changed.notify_all()
            return done

    def take_evicted(self) -> "list[Future[int]]":
        """Return the futures of events that were evicted since the last call."""
        with self._changed:
            evicted, self._evicted = self._evicted, []
            return evicted

    def _make_room(self, down_to_bytes: int) -> None:
        for kind in EVICTION_ORDER:
            kept: deque[tuple[NewEvent, Future[int]]] = deque()
            for event, done in self._next.puts:
                is_enough = self._next_bytes <= down_to_bytes
                left = event if is_enough else self._without(event, kind)
                if left is None:
                    self._evicted.append(done)
                else:
                    kept.append((left, done))
            self._next.puts = kept

    def _without(self, event: NewEvent, kind: str) -> NewEvent | None:
        """Return the rest of an event after an eviction of this kind."""
        if kind == IMAGE and event.image is not None:
            left, gone_bytes = replace(event, image=None), len(event.image)
        elif event.kind == kind:
            left, gone_bytes = None, event.size_bytes
        else:
            return event
        self._next_bytes -= gone_bytes
        count, _ = self._next.lost.get(kind, (0, b""))
        self._next.lost[kind] = (count + 1, event.data)
        return left

    def add_acknowledged(self, stream: str, ranges: Sequence[tuple[int, int]]) -> None:
        """Add inclusive ranges of delivered positions."""
        with self._changed:
            self._next.acknowledged += [(stream, *each) for each in ranges]
            self._changed.notify_all()

    def add_confirmed(self, stream: str, seq: int) -> None:
        """Add a position that a broker has confirmed; the writer is not woken."""
        with self._changed:
            self._next.confirmed.add((stream, seq))

    def add_collector(self) -> None:
        """Add that a collector has answered."""
        with self._changed:
            self._next.collector_seen = True
            self._changed.notify_all()

    def take(self) -> WriteBatch:
        """Return the next batch; after a timeout without work an empty one."""
        with self._changed:
            if self._unwritten is not None:
                batch, self._unwritten = self._unwritten, None
                return batch
            self._changed.wait_for(
                lambda: self._next.puts or self._next.acknowledged or self._is_closing,
                timeout=CONFIRMATIONS_INTERVAL_S,
            )
            batch, rest = self._next, WriteBatch()
            while len(batch.puts) > BATCH_MAX_EVENTS:
                rest.puts.appendleft(batch.puts.pop())
            self._next = rest
            self._next_bytes -= batch.size_bytes
            self._in_hand = len(batch.puts)
            return batch

    def written(self, rows_on_disk: int) -> None:
        """Note that the last batch that was taken is on disk.

        Args:
            rows_on_disk: Number of events in the file now.
        """
        with self._changed:
            self._in_hand = 0
            self._on_disk = rows_on_disk

    def give_back(self, batch: WriteBatch, pause_s: float) -> None:
        """Have a batch that could not be written returned by the next ``take``.

        Args:
            pause_s: Time until the next attempt; cut short by ``close``.
        """
        with self._changed:
            self._unwritten = batch
            self._changed.wait_for(lambda: self._is_closing, timeout=pause_s)

    def give_back_half(self, batch: WriteBatch) -> None:
        """Have the first half of a batch returned by the next ``take``."""
        with self._changed:
            rest = batch.split()
            self._next.puts.extendleft(reversed(rest))
            self._next_bytes += sum(event.size_bytes for event, _ in rest)
            self._unwritten, self._in_hand = batch, len(batch.puts)

    def close(self) -> None:
        """Accept no more events, and wake the writer."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def drain(self) -> WriteBatch:
        """Return everything that was not written."""
        with self._changed:
            left, self._next, self._next_bytes = self._next, WriteBatch(), 0
            if self._unwritten is not None:
                left.puts.extendleft(reversed(self._unwritten.puts))
                self._unwritten = None
            return left
