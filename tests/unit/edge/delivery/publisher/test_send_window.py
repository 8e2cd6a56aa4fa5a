"""What is sent, how much at once, and when again."""

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.delivery.publisher.send_queue import WINDOW_EVENTS
from edge.delivery.publisher.send_window import NS_PER_S, PROBE_EVENTS, SendWindow
from tests.examples import example_count


def steady() -> float:
    """Chance that shifts no pause."""
    return 0.5


def window(size: int = WINDOW_EVENTS) -> SendWindow:
    result = SendWindow(size, steady)
    result.connected(0, redelivers=True)
    return result


def send(here: SendWindow, seqs: range, now_ns: int = 0) -> None:
    for seq in seqs:
        here.transmitted(seq, now_ns)


def test_window_is_full_until_the_collector_answers() -> None:
    here = window(3)
    send(here, range(1, 4))
    assert here.room == 0
    here.confirmed(1, awaits_collector=True)
    assert here.room == 0
    here.acknowledged({1}, 0)
    assert here.room == 1
    here.acknowledged({1, 3}, 0)
    assert here.room == 2
    assert 2 in here


def test_confirmation_frees_the_window_where_no_collector_is_awaited() -> None:
    here = window(1)
    send(here, range(1, 2))
    here.confirmed(1, awaits_collector=False)
    assert here.room == 1


def test_unconfirmed_event_is_not_sent_again_on_the_same_connection() -> None:
    here = window()
    send(here, range(1, 2))
    here.tick(100 * NS_PER_S)
    assert 1 in here
    assert not here.is_silent


def test_confirmed_event_without_answer_for_three_seconds_means_silence() -> None:
    here = window(2)
    send(here, range(1, 3))
    here.confirmed(1, awaits_collector=True)
    here.tick(3 * NS_PER_S - 1)
    assert not here.is_silent
    here.tick(3 * NS_PER_S)
    assert here.is_silent
    assert 1 not in here
    assert 2 in here


def test_silent_collector_does_not_hold_up_new_events() -> None:
    here = window(1)
    send(here, range(1, 2))
    here.confirmed(1, awaits_collector=True)
    here.tick(3 * NS_PER_S)
    send(here, range(2, 3), 3 * NS_PER_S)
    here.confirmed(2, awaits_collector=True)
    assert here.room == 1


def test_silent_collector_is_tried_less_and_less_often_with_a_few_events() -> None:
    here = window()
    send(here, range(1, 2))
    here.confirmed(1, awaits_collector=True)
    now_ns, tries = 0, []
    while now_ns < 600 * NS_PER_S:
        here.tick(now_ns)
        if limit := here.redelivery_limit(now_ns):
            assert limit <= PROBE_EVENTS
            tries.append(now_ns / NS_PER_S)
            seqs = list(
                range(here.redelivery_cursor + 1, here.redelivery_cursor + limit + 1)
            )
            for seq in seqs:
                here.transmitted(seq, now_ns)
                here.confirmed(seq, awaits_collector=True)
            here.redelivered(seqs, now_ns, is_end=False)
        now_ns += NS_PER_S // 10
    pauses = [later - earlier for earlier, later in pairwise(tries[2:])]
    assert pauses == sorted(pauses)
    assert 59 < pauses[-1] < 61
    assert len(tries) < 20


def test_answer_after_silence_starts_the_redelivery_at_once_and_in_full() -> None:
    here = window()
    send(here, range(1, 2))
    here.confirmed(1, awaits_collector=True)
    here.tick(3 * NS_PER_S)
    assert here.redelivery_limit(3 * NS_PER_S) == 0
    here.acknowledged({1}, 3 * NS_PER_S)
    assert not here.is_silent
    assert here.redelivery_limit(3 * NS_PER_S) == 200
    assert here.redelivery_cursor == 0


def test_refused_event_is_tried_again_after_a_pause() -> None:
    here = window()
    here.read_up_to(7)
    send(here, range(7, 8))
    here.refused(7, 0)
    assert 7 not in here
    here.tick(2 * NS_PER_S)
    assert here.cursor == 7
    assert here.due_ns() is not None
    here.tick(3 * NS_PER_S)
    assert here.cursor == 0


def test_connect_starts_with_the_first_event_and_keeps_what_was_sent() -> None:
    here = window()
    here.read_up_to(9)
    send(here, range(1, 10))
    here.connected(0, redelivers=False)
    assert here.cursor == 0
    assert here.is_empty
    assert here.sent_up_to == 9
    here.new_stream()
    assert here.sent_up_to == 0


def test_nothing_is_due_without_events() -> None:
    here = SendWindow(WINDOW_EVENTS, steady)
    here.connected(0, redelivers=False)
    assert here.due_ns() is None


def test_redelivery_without_room_waits_for_an_answer_and_not_for_a_time() -> None:
    here = window(2)
    assert here.due_ns() == 0
    send(here, range(1, 3), now_ns=NS_PER_S)
    assert here.due_ns() is None, "asked again and again it would burn a core"
    here.confirmed(2, awaits_collector=True)
    assert here.due_ns() == 4 * NS_PER_S
    here.acknowledged({1, 2}, 2 * NS_PER_S)
    assert here.due_ns() == 2 * NS_PER_S


def test_event_sent_again_counts_from_its_last_transmission() -> None:
    here = window()
    send(here, range(1, 3))
    here.transmitted(1, 2 * NS_PER_S)
    here.confirmed(1, awaits_collector=True)
    here.tick(3 * NS_PER_S)
    assert not here.is_silent
    here.tick(5 * NS_PER_S)
    assert here.is_silent


class Line:
    """An outbox, a broker and a collector, in which anything may get lost."""

    def __init__(self, chance: random.Random, count: int, loss: float) -> None:
        self.window = SendWindow(8, steady)
        self.chance, self.loss = chance, loss
        self.rows = dict.fromkeys(range(1, count + 1), False)  # seq -> confirmed
        self.history: set[int] = set()
        self.now_ns = 0
        self.window.connected(0, redelivers=True)

    def read(self, after: int, limit: int, *, was_sent: bool) -> list[int]:
        found = [s for s, sent in self.rows.items() if s > after and sent is was_sent]
        return found[:limit]

    def turn(self) -> None:
        """Do what the feed does, once."""
        here, seqs = self.window, []
        here.tick(self.now_ns)
        if limit := here.room:
            seqs = self.read(here.cursor, limit, was_sent=False)
            here.read_up_to(seqs[-1] if seqs else len(self.rows) + 1000)
        if not seqs and (limit := here.redelivery_limit(self.now_ns)):
            seqs = self.read(here.redelivery_cursor, limit, was_sent=True)
            here.redelivered(seqs, self.now_ns, is_end=len(seqs) < limit)
        for seq in [each for each in seqs if each not in here]:
            here.transmitted(seq, self.now_ns)
            self.travel(seq)
        self.now_ns += NS_PER_S // 20
        if self.chance.random() < self.loss / 20:
            here.connected(self.now_ns, redelivers=True)

    def travel(self, seq: int) -> None:
        """Bring one event as far as it gets."""
        if self.chance.random() < self.loss / 4:
            self.window.refused(seq, self.now_ns)
            return
        self.rows[seq] = True
        self.window.confirmed(seq, awaits_collector=True)
        if self.chance.random() < self.loss:
            return
        self.history.add(seq)
        if self.chance.random() < self.loss:
            return
        self.window.acknowledged({seq}, self.now_ns)
        self.rows.pop(seq, None)


@settings(max_examples=example_count(30), deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.floats(0, 0.7))
def test_every_event_arrives_however_much_is_lost_on_the_way(
    seed: int, count: int, loss: float
) -> None:
    line = Line(random.Random(seed), count, loss)
    for _ in range(60_000):
        if not line.rows:
            break
        line.turn()
    assert not line.rows, "all are acknowledged in the end"
    assert line.history == set(range(1, count + 1))
