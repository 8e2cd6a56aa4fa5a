"""Which positions are on their way, and when to send them again. Pure.

New events go out in order, at most ``size`` of them without the collector's
acknowledgement. A confirmed event that stays without it for three seconds means that
the collector is silent: from then on the broker's word frees the window, so that
whoever listens live is served, and a *repair* pass over the confirmed events tries a
few of them again, less and less often. As soon as an acknowledgement comes, the pass
goes on at full speed. After each connect the unconfirmed events are sent again, and a
repair pass begins.

Source:
    A PUBACK is not durability: 25 % were lost when rows were deleted on it, none
    when they were deleted on the collector's acknowledgement.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.backoff import Backoff

WINDOW_EVENTS = 200
PROBE_EVENTS = 20
NS_PER_S = 1_000_000_000
ANSWER_LIMIT_NS = 3 * NS_PER_S
REPEAT_FIRST_S, REPEAT_MAX_S = 3.0, 60.0


@dataclass(slots=True)
class _Awaited:
    """An event on its way."""

    sent_ns: int
    is_confirmed: bool = False


class SendWindow:
    """State of one stream on one connection.

    Args:
        size: Most events on their way.
        chance: Gives numbers in 0..1, for the pauses.

    Attributes:
        cursor: Position up to which unconfirmed events were sent since the connect.
        sent_up_to: Highest position ever sent: what is sent again is a repetition.
        repair_cursor: Position up to which the repair pass has come.
        is_silent: The collector does not answer.
    """

    def __init__(
        self, size: int = WINDOW_EVENTS, chance: Callable[[], float] = random.random
    ) -> None:
        self.cursor = 0
        self.sent_up_to = 0
        self.repair_cursor = 0
        self.is_silent = False
        self._size = size
        self._awaited: dict[int, _Awaited] = {}
        self._unanswered: tuple[int, int] | None = None  # seq, since
        self._repair_due_ns: int | None = None
        self._repair_left = 0
        self._retry_refused_ns: int | None = None
        self._repeat = Backoff(REPEAT_FIRST_S, REPEAT_MAX_S, chance)
        self._refusal = Backoff(REPEAT_FIRST_S, REPEAT_MAX_S, chance)

    def __contains__(self, seq: int) -> bool:
        """Return whether an event is on its way."""
        return seq in self._awaited

    @property
    def room(self) -> int:
        """How many more events may be on their way."""
        return max(0, self._size - len(self._awaited))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on its way."""
        return not self._awaited

    @property
    def unanswered_since_ns(self) -> int | None:
        """Since when an event is confirmed and not acknowledged; none if all are.

        It is the time of one certain event: others that are acknowledged do not hide
        that this one never is. It outlives a reconnect.
        """
        return self._unanswered[1] if self._unanswered else None

    def connected(self, now_ns: int, *, repair: bool) -> None:
        """Begin anew: what was on its way may be lost.

        Args:
            now_ns: Monotonic clock.
            repair: A collector is expected to answer for confirmed events.
        """
        self._awaited.clear()
        self.cursor = 0
        self.is_silent = False
        self._retry_refused_ns = None
        self._repeat.reset()
        self._repair_due_ns = None
        if repair:
            self._begin_repair(now_ns, PROBE_EVENTS)

    def new_stream(self) -> None:
        """Forget positions that mean something else now."""
        self.sent_up_to = 0
        self._unanswered = None

    def collector_appeared(self, now_ns: int) -> None:
        """Offer it everything that was confirmed before it came."""
        self.is_silent = False
        self._begin_repair(now_ns, self._size)

    def transmitted(self, seq: int, now_ns: int) -> None:
        """Note that an event is on its way."""
        self._awaited.pop(seq, None)  # the order is that of the transmissions
        self._awaited[seq] = _Awaited(now_ns)
        self.sent_up_to = max(self.sent_up_to, seq)

    def confirmed(self, seq: int, *, awaits_collector: bool) -> None:
        """Note that the broker has an event.

        Args:
            seq: Position.
            awaits_collector: Only the collector's word ends it.
        """
        self._refusal.reset()
        awaited = self._awaited.get(seq)
        if awaited is None:
            return
        if not awaits_collector or self.is_silent:
            del self._awaited[seq]
        awaited.is_confirmed = True

    def refused(self, seq: int, now_ns: int) -> None:
        """Note that the broker did not take an event: try it again later."""
        self._awaited.pop(seq, None)
        if self._retry_refused_ns is None:
            self._retry_refused_ns = now_ns + int(self._refusal.next_s() * NS_PER_S)

    def acknowledged(
        self, high_water: int, ranges: Iterable[tuple[int, int]], now_ns: int
    ) -> None:
        """Note what the collector has.

        Args:
            high_water: Position up to which it has everything.
            ranges: Further inclusive ranges.
            now_ns: Monotonic clock.
        """
        ends = [(0, high_water), *ranges]
        for seq in list(self._awaited):
            if any(first <= seq <= last for first, last in ends):
                del self._awaited[seq]
        if self._unanswered is not None:
            seq = self._unanswered[0]
            if any(first <= seq <= last for first, last in ends):
                self._unanswered = None
        self._repeat.reset()
        if self.is_silent:
            self.is_silent = False
            self._begin_repair(now_ns, self._size)
        elif self._repair_due_ns is not None:
            self._repair_due_ns, self._repair_left = now_ns, self._size

    def tick(self, now_ns: int) -> None:
        """Let time pass.

        Args:
            now_ns: Monotonic clock.
        """
        if self._retry_refused_ns is not None and now_ns >= self._retry_refused_ns:
            self._retry_refused_ns = None
            self.cursor = 0
        oldest = self._oldest_confirmed()
        if oldest is not None and now_ns >= oldest[1] + ANSWER_LIMIT_NS:
            self._unanswered = self._unanswered or oldest
            self.is_silent = True
            for seq in [s for s, each in self._awaited.items() if each.is_confirmed]:
                del self._awaited[seq]
            self._begin_repair(self._later(now_ns), PROBE_EVENTS)

    def repair_limit(self, now_ns: int) -> int:
        """Return how many confirmed events may be sent again now.

        Args:
            now_ns: Monotonic clock.
        """
        if self._repair_due_ns is None or now_ns < self._repair_due_ns:
            return 0
        return min(self.room, self._repair_left)

    def repaired(self, seqs: list[int], now_ns: int, *, is_end: bool) -> None:
        """Note a step of the repair pass.

        Args:
            seqs: Confirmed events that were looked at, in order.
            now_ns: Monotonic clock.
            is_end: There are no more.
        """
        if seqs:
            self.repair_cursor = seqs[-1]
            self._repair_left -= len(seqs)
        if is_end and not self.is_silent:
            self._repair_due_ns = None
        elif is_end or self._repair_left <= 0:
            if self.is_silent:
                self._begin_repair(self._later(now_ns), PROBE_EVENTS)
            else:  # wait for the answer to these
                self._repair_due_ns = now_ns + ANSWER_LIMIT_NS
                self._repair_left = PROBE_EVENTS

    def due_ns(self) -> int | None:
        """Return when there is something to do at the latest; none if never.

        A repair for which there is no room waits for an answer, not for a time: to
        ask again and again would cost the inference a core.
        """
        repair_ns = self._repair_due_ns if self.room else None
        oldest = self._oldest_confirmed()
        answer_ns = oldest[1] + ANSWER_LIMIT_NS if oldest else None
        times = (repair_ns, self._retry_refused_ns, answer_ns)
        return min((each for each in times if each is not None), default=None)

    def _oldest_confirmed(self) -> tuple[int, int] | None:
        """Return what waits for the collector's first answer longest: seq, sent_ns.

        The events are in the order of their transmissions, and the broker confirms
        them in about the same: one of the first is the oldest.
        """
        for seq, each in self._awaited.items():
            if each.is_confirmed:
                return seq, each.sent_ns
        return None

    def _begin_repair(self, due_ns: int, events: int) -> None:
        self.repair_cursor = 0
        self._repair_due_ns, self._repair_left = due_ns, events

    def _later(self, now_ns: int) -> int:
        return now_ns + int(self._repeat.next_s() * NS_PER_S)
