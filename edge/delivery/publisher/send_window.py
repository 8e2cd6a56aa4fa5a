"""Tracks the positions in flight, and decides when to send them again. Pure.

New events are sent in order, at most ``size`` of them without the collector's
acknowledgement. If a confirmed event is not acknowledged for ``ANSWER_LIMIT_NS``, the
collector is silent: from then on the broker's confirmation frees the window, so that
live subscribers are served, and a *redelivery* pass over the confirmed events sends a
few of them again, at growing intervals. When an acknowledgement comes, the pass
continues at full speed. After each connect the unconfirmed events are sent again, and a
redelivery pass starts.

Source:
    A PUBACK does not mean that an event is stored: 25 % of the events were lost when
    rows were deleted on it, and no event when they were deleted on the collector's
    acknowledgement.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from models.backoff import Backoff

PROBE_EVENTS = 20  # sent again to a collector that may still be silent
NS_PER_S = 1_000_000_000
ANSWER_LIMIT_NS = 3 * NS_PER_S
REPEAT_FIRST_S, REPEAT_MAX_S = 3.0, 60.0


@dataclass(slots=True)
class _Sent:
    """An event in flight."""

    sent_ns: int
    is_confirmed: bool = False


class SendWindow:
    """State of one stream on one connection. All times are of the monotonic clock.

    Args:
        size: Most events in flight.
        chance: Returns numbers in 0..1, for the pauses.

    Attributes:
        sent_up_to: Highest position ever sent: an event up to it is a repetition.
        redelivery_cursor: Last position that the redelivery pass has read.
        is_silent: The collector does not answer.
    """

    def __init__(self, size: int, chance: Callable[[], float]) -> None:
        self.sent_up_to = 0
        self.redelivery_cursor = 0
        self.is_silent = False
        self._cursor = 0
        self._size = size
        self._sent: dict[int, _Sent] = {}  # by position, in order of transmission
        self._unanswered: tuple[int, int] | None = None  # seq, sent_ns
        self._redelivery_due_ns: int | None = None
        self._redelivery_left = 0
        self._retry_refused_ns: int | None = None
        self._repeat = Backoff(REPEAT_FIRST_S, REPEAT_MAX_S, chance)
        self._refusal = Backoff(REPEAT_FIRST_S, REPEAT_MAX_S, chance)

    def __contains__(self, seq: int) -> bool:
        """Return whether an event is in flight."""
        return seq in self._sent

    @property
    def cursor(self) -> int:
        """Position up to which unconfirmed events were read since the connect."""
        return self._cursor

    @property
    def room(self) -> int:
        """How many more events may be in flight."""
        return max(0, self._size - len(self._sent))

    @property
    def is_empty(self) -> bool:
        """Whether no event is in flight."""
        return not self._sent

    @property
    def unanswered_since_ns(self) -> int | None:
        """Since when an event is confirmed and not acknowledged; None: no such event.

        It is the time of one event: acknowledgements of others do not hide that this
        one is missing. A reconnect does not reset it.
        """
        return self._unanswered[1] if self._unanswered else None

    def connected(self, now_ns: int, *, redelivers: bool) -> None:
        """Start again: events that were in flight may be lost.

        Args:
            redelivers: A collector is expected to acknowledge confirmed events.
        """
        self._sent.clear()
        self._cursor = 0
        self.is_silent = False
        self._retry_refused_ns = None
        self._repeat.reset()
        self._redelivery_due_ns = None
        if redelivers:
            self._start_redelivery(now_ns, PROBE_EVENTS)

    def new_stream(self) -> None:
        """Discard the positions of the previous stream."""
        self.sent_up_to = 0
        self._unanswered = None

    def collector_appeared(self, now_ns: int) -> None:
        """Send everything that was confirmed before the collector answered."""
        self.is_silent = False
        self._start_redelivery(now_ns, self._size)

    def read_up_to(self, seq: int) -> None:
        """Note that the unconfirmed events up to a position were read."""
        self._cursor = seq

    def transmitted(self, seq: int, now_ns: int) -> None:
        """Note that an event was sent."""
        self._sent.pop(seq, None)  # the order is that of the transmissions
        self._sent[seq] = _Sent(now_ns)
        self.sent_up_to = max(self.sent_up_to, seq)

    def confirmed(self, seq: int, *, awaits_collector: bool) -> None:
        """Note that the broker has an event.

        Args:
            awaits_collector: Only the collector's acknowledgement delivers it.
        """
        self._refusal.reset()
        sent = self._sent.get(seq)
        if sent is None:
            return
        if not awaits_collector or self.is_silent:
            del self._sent[seq]
        sent.is_confirmed = True

    def refused(self, seq: int, now_ns: int) -> None:
        """Note that the broker refused an event: it is sent again later."""
        self._sent.pop(seq, None)
        if self._retry_refused_ns is None:
            self._retry_refused_ns = now_ns + int(self._refusal.next_s() * NS_PER_S)

    def acknowledged(self, seqs: Collection[int], now_ns: int) -> None:
        """Note the events that the collector has acknowledged."""
        for seq in seqs:
            self._sent.pop(seq, None)
        if self._unanswered is not None and self._unanswered[0] in seqs:
            self._unanswered = None
        self._repeat.reset()
        if self.is_silent:
            self.is_silent = False
            self._start_redelivery(now_ns, self._size)
        elif self._redelivery_due_ns is not None:
            self._redelivery_due_ns, self._redelivery_left = now_ns, self._size

    def tick(self, now_ns: int) -> int | None:
        """Start a redelivery that is due, and detect a silent collector.

        Returns:
            The event that it did not acknowledge in time; None: it is not silent.
        """
        if self._retry_refused_ns is not None and now_ns >= self._retry_refused_ns:
            self._retry_refused_ns = None
            self._cursor = 0
        oldest = self._oldest_confirmed()
        if oldest is not None and now_ns >= oldest[1] + ANSWER_LIMIT_NS:
            self._unanswered = self._unanswered or oldest
            self.is_silent = True
            for seq in [s for s, each in self._sent.items() if each.is_confirmed]:
                del self._sent[seq]
            self._start_redelivery(self._later(now_ns), PROBE_EVENTS)
            return oldest[0]
        return None

    def redelivery_limit(self, now_ns: int) -> int:
        """Return how many confirmed events may be sent again now."""
        if self._redelivery_due_ns is None or now_ns < self._redelivery_due_ns:
            return 0
        return min(self.room, self._redelivery_left)

    def redelivered(self, seqs: list[int], now_ns: int, *, is_end: bool) -> None:
        """Note a step of the redelivery pass.

        Args:
            seqs: Confirmed events that were read, in order.
            is_end: There are no further events.
        """
        if seqs:
            self.redelivery_cursor = seqs[-1]
            self._redelivery_left -= len(seqs)
        if is_end and not self.is_silent:
            self._redelivery_due_ns = None
        elif is_end or self._redelivery_left <= 0:
            if self.is_silent:
                self._start_redelivery(self._later(now_ns), PROBE_EVENTS)
            else:  # wait for the answer to these
                self._redelivery_due_ns = now_ns + ANSWER_LIMIT_NS
                self._redelivery_left = PROBE_EVENTS

    def due_ns(self) -> int | None:
        """Return the time of the next action at the latest; None: no time is set.

        A redelivery while the window is full waits for an answer, not for a time:
        polling would take a core from the inference.
        """
        redelivery_ns = self._redelivery_due_ns if self.room else None
        oldest = self._oldest_confirmed()
        answer_ns = oldest[1] + ANSWER_LIMIT_NS if oldest else None
        times = (redelivery_ns, self._retry_refused_ns, answer_ns)
        return min((each for each in times if each is not None), default=None)

    def _oldest_confirmed(self) -> tuple[int, int] | None:
        """Return seq and sent_ns of the oldest event without an acknowledgement.

        The broker confirms in about the order of the transmissions: the first
        confirmed event is the oldest.
        """
        for seq, each in self._sent.items():
            if each.is_confirmed:
                return seq, each.sent_ns
        return None

    def _start_redelivery(self, due_ns: int, events: int) -> None:
        self.redelivery_cursor = 0
        self._redelivery_due_ns, self._redelivery_left = due_ns, events

    def _later(self, now_ns: int) -> int:
        return now_ns + int(self._repeat.next_s() * NS_PER_S)
