"""Room is made in time in proportion to the backlog, and a bounded part at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.delivery.outbox.database import OutboxDatabase, Transaction
from edge.delivery.outbox.events import EventKind, NewEvent
from edge.delivery.outbox.eviction import make_room
from tests.simulators.alerts import VERDICT_TOPIC, verdict

ROWS = 10_000
INSTRUCTIONS = 1000  # of SQLite's virtual machine, between two counts


@pytest.fixture
def backlog(tmp_path: Path) -> Iterator[OutboxDatabase]:
    """Verdicts that no broker has confirmed, about half a file full."""
    file = OutboxDatabase(tmp_path / "outbox.db", 16 << 20)
    event = NewEvent(
        EventKind.VERDICT,
        VERDICT_TOPIC,
        "2026-05-04T12:30:00+00:00",
        verdict(0).model_dump_json().encode(),
    )
    with Transaction(file.connection):
        file.insert(1, [event] * ROWS)
    yield file
    file.close()


def test_long_backlog_is_not_walked_again_for_every_few_rows(
    backlog: OutboxDatabase,
) -> None:
    counts = 0

    def count() -> int:
        nonlocal counts
        counts += 1
        return 0

    backlog.connection.set_progress_handler(count, INSTRUCTIONS)
    with Transaction(backlog.connection):
        (lost,) = make_room(
            backlog, forget_sent=False, down_to_share=backlog.used_share / 2
        )
    assert ROWS / 3 < lost.count < ROWS * 2 / 3
    assert (lost.first_seq, lost.last_seq) == (1, lost.count)  # the oldest
    assert counts * INSTRUCTIONS < 100 * ROWS


def test_one_commit_evicts_a_bounded_number(backlog: OutboxDatabase) -> None:
    with Transaction(backlog.connection):
        (lost,) = make_room(
            backlog, forget_sent=False, down_to_share=0.0, max_rows=1010
        )
    assert lost.count == 1010
    assert backlog.depth == ROWS - 1010


def test_confirmed_events_are_evicted_before_older_ones(
    backlog: OutboxDatabase,
) -> None:
    backlog.mark_sent(range(5000, 5100))
    with Transaction(backlog.connection):
        (lost,) = make_room(backlog, forget_sent=False, down_to_share=0, max_rows=120)
    assert [each.seq for each in backlog.read(0, 1, was_sent=False)] == [21]
    assert backlog.read(0, 1, was_sent=True) == []
    assert (lost.first_seq, lost.last_seq, lost.count) == (1, 5099, 120)


def test_what_was_delivered_is_no_loss(backlog: OutboxDatabase) -> None:
    backlog.mark_sent(range(1, 101))
    with Transaction(backlog.connection):
        evicted = make_room(backlog, forget_sent=True, down_to_share=0, max_rows=100)
    assert evicted == []
    assert backlog.depth == ROWS - 100
