"""Work for the writer: nothing is lost in silence, and memory is bounded."""

import threading

import pytest

from edge.delivery.outbox import write_queue
from edge.delivery.outbox.events import EventKind, NewEvent
from edge.delivery.outbox.write_queue import BATCH_MAX_EVENTS, WriteQueue

SMALL_BYTES = 1000


def event(
    kind: EventKind, size_bytes: int = 100, image: bytes | None = None
) -> NewEvent:
    return NewEvent(kind, "", "", bytes(size_bytes), image)


def kinds_in(queue: WriteQueue) -> list[str]:
    return [each.kind.value for each, _ in queue.take().puts]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> WriteQueue:
    """A queue that holds 1000 bytes."""
    monkeypatch.setattr(write_queue, "MEMORY_MAX_BYTES", SMALL_BYTES)
    return WriteQueue()


def test_batch_holds_what_was_added_in_order() -> None:
    queue = WriteQueue()
    for size in (1, 2, 3):
        queue.add_event(event(EventKind.ALERT, size))
    queue.add_acknowledged("stream", [(1, 4), (6, 6)])
    queue.add_confirmed("stream", 7)
    queue.add_confirmed("other", 8)
    queue.add_collector()
    batch = queue.take()
    assert batch
    assert [len(each.data) for each, _ in batch.puts] == [1, 2, 3]
    assert batch.size_bytes == 6
    assert batch.acknowledged_in("stream") == [(1, 4), (6, 6)]
    assert batch.acknowledged_in("other") == []
    assert batch.confirmed_in("other") == [8]
    assert batch.collector_seen


def test_long_queue_is_taken_in_parts() -> None:
    queue = WriteQueue()
    for _ in range(BATCH_MAX_EVENTS + 5):
        queue.add_event(event(EventKind.ALERT))
    assert len(queue.take().puts) == BATCH_MAX_EVENTS
    assert len(queue.take().puts) == 5


def test_depth_counts_events_that_wait_are_written_and_are_on_disk() -> None:
    queue = WriteQueue()
    for _ in range(3):
        queue.add_event(event(EventKind.ALERT))
    queue.take()
    queue.add_event(event(EventKind.ALERT))
    assert queue.events == queue.depth == 4
    queue.written(10)
    assert queue.events == 1
    assert queue.depth == 11


def test_returned_batch_comes_first() -> None:
    queue = WriteQueue()
    queue.add_event(event(EventKind.ALERT, 1))
    batch = queue.take()
    queue.add_event(event(EventKind.ALERT, 2))
    queue.give_back(batch, 0)
    assert queue.take() is batch
    assert [len(each.data) for each, _ in queue.take().puts] == [2]


def test_everything_that_was_not_written_is_drained_in_order() -> None:
    queue = WriteQueue()
    for size in (1, 2):
        queue.add_event(event(EventKind.ALERT, size))
    queue.give_back(queue.take(), 0)
    queue.add_event(event(EventKind.ALERT, 3))
    assert [len(each.data) for each, _ in queue.drain().puts] == [1, 2, 3]
    assert not queue.drain()


def test_closed_queue_accepts_no_event_and_wakes_the_writer() -> None:
    queue = WriteQueue()
    batches = []
    writer = threading.Thread(target=lambda: batches.append(queue.take()))
    writer.start()
    queue.close()
    writer.join(5)
    assert [bool(each) for each in batches] == [False]
    assert queue.is_closing
    assert queue.add_event(event(EventKind.ALERT)) is None


def test_event_that_is_larger_than_the_memory_is_not_accepted(
    small: WriteQueue,
) -> None:
    assert small.add_event(event(EventKind.ALERT, SMALL_BYTES + 1)) is None
    assert small.take_evicted() == []


def test_full_memory_evicts_images_first_then_verdicts_then_alerts(
    small: WriteQueue,
) -> None:
    small.add_event(event(EventKind.ALERT, 100, bytes(300)))
    verdict = small.add_event(event(EventKind.VERDICT))
    small.add_event(event(EventKind.ALERT, 400))
    small.add_event(event(EventKind.ALERT, 200))  # beyond the memory: the image goes
    small.add_event(event(EventKind.ALERT, 100))
    assert small.take_evicted() == []
    small.add_event(event(EventKind.ALERT, 250))
    assert small.take_evicted() == [verdict]
    small.add_event(event(EventKind.ALERT, 100))
    assert len(small.take_evicted()) == 2, "the two oldest alerts"
    batch = small.take()
    assert [len(each.data) for each, _ in batch.puts] == [200, 100, 250, 100]
    lost = {kind: count for kind, (count, _) in batch.lost.items()}
    assert lost == {"image": 1, "verdict": 1, "alert": 2}


def test_loss_records_are_never_evicted(small: WriteQueue) -> None:
    small.add_event(event(EventKind.LOSS, 600))
    small.add_event(event(EventKind.ALERT, 300))
    small.add_event(event(EventKind.ALERT, 300))
    assert len(small.take_evicted()) == 1
    assert kinds_in(small) == ["loss", "alert"]
