"""The thread that writes the history: commits batches, then releases acknowledgements.

While one batch is being committed, messages for the next one arrive, so that batches
grow with the load. When the history cannot be written (disk full, file locked) the
batch is kept and tried again; nothing is acknowledged meanwhile, the broker's window
fills up, and the stations keep their alerts.
"""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from dashboard.config import HistorySettings
from dashboard.history.database import is_full, reason_of
from dashboard.history.store import Committed, Store
from dashboard.messages import Message, Record, Rejection, RejectionReason, read_message
from dashboard.status import now_ms
from models.backoff import Backoff
from models.counted import counted
from models.messages import Acknowledgement
from models.topics import StationTopics

BATCH_MESSAGES = 200
QUEUE_MESSAGES = 4000  # beyond: live messages are dropped, queued ones stay unacked
# Beyond, live messages are dropped: 2,000 statistics are 2 MB, and a broker delivers
# messages of up to 512 kB.
QUEUE_BYTES = 32 * 1024 * 1024
GATHER_S = 0.5  # wait for a first message
RETRY_FIRST_S, RETRY_MAX_S = 0.25, 5.0
PRUNE_EVERY_S = 600.0
LOG_REJECTIONS = 20  # per reason and hour: a flood must not fill the log
FORGET_REJECTIONS_S = 3600.0
STOP_LIMIT_S = 10.0
# No station does this: a mistake, or an attack. It is shown for a while.
ALARMING = (
    RejectionReason.TOO_MANY,
    RejectionReason.WRONG_STATION,
    RejectionReason.CONFLICT,
    RejectionReason.FAR_AHEAD,
    RejectionReason.NO_ROOM,
)
ALARM_S = 600.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Data for the acknowledgement of a message to the broker.

    Attributes:
        connection: Number of the connection; ``mid`` is only valid in it.
        qos: 0: the broker expects no acknowledgement.
    """

    connection: int
    mid: int
    qos: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One received message and its receipt."""

    message: Message
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class AckRequest:
    """The acknowledgements that the network thread may send now.

    Attributes:
        receipts: Receipts of messages that are committed, or rejected for good.
    """

    receipts: list[Receipt]
    acks: list[tuple[StationTopics, Acknowledgement]]


OnBatch = Callable[[Sequence[Message], Sequence[Record]], None]


class _NoRoomError(Exception):
    """The history has no room for the batch; raised and caught in this module only."""


class HistoryWriter:
    """Writes the history in a separate thread.

    Args:
        store: Used by this thread alone from ``start`` to ``stop``.
        settings: Retention periods.

    Attributes:
        rejected: Number of invalid messages, by reason.
        duplicates: Events that were in the history already.
        dropped: Messages dropped because the queue was full.
        forgotten: Silent senders that made room for others.
        removed_pictures: Pictures that made room in a full history.
        failure: Why the history cannot be written; empty when it can.
        unnoted: Batches that ``on_batch`` could not keep.
        batch_failure: Why it could not keep the last one; empty when it could.
        heartbeat_s: When the thread last ran, monotonic clock.
    """

    def __init__(self, store: Store, settings: HistorySettings) -> None:
        self._store, self._kept = store, settings.kept_days()
        self._on_done: Callable[[AckRequest], None] = lambda _: None
        self._on_commit: Callable[[Committed], None] = lambda _: None
        self._on_batch: OnBatch = lambda _messages, _records: None
        self._queue: queue.Queue[Delivery] = queue.Queue(QUEUE_MESSAGES)
        # Bytes that were ever queued and ever taken out: each is changed by one thread.
        self._queued_bytes = self._taken_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="dashboard-recorder", daemon=True
        )
        self._logged: Counter[str] = Counter()
        self._forget_at_s = 0.0
        self._limited_s = -ALARM_S
        self._rejected_s: dict[RejectionReason, float] = {}  # when it last was one
        self._pruned_s = time.monotonic()
        self.rejected: Counter[str] = Counter()
        self.duplicates = 0
        self.dropped = 0
        self.forgotten = 0
        self.removed_pictures = 0
        self.failure = ""
        self.unnoted = 0
        self.batch_failure = ""
        self.heartbeat_s = time.monotonic()

    def start(
        self,
        on_done: Callable[[AckRequest], None],
        on_commit: Callable[[Committed], None],
        on_batch: OnBatch = lambda _messages, _records: None,
    ) -> None:
        """Start the thread.

        Args:
            on_done: Called after each commit with the acknowledgements to send.
            on_commit: Called after that with the result of the commit.
            on_batch: Called after each commit, before its acknowledgements, with its
                messages and those of them that are records. It is called once more
                where it raises an ``SQLAlchemyError``.
        """
        self._on_done, self._on_commit, self._on_batch = on_done, on_commit, on_batch
        self._thread.start()

    def stop(self) -> None:
        """Commit the queued messages, and end the thread."""
        self._stop.set()
        self._thread.join(STOP_LIMIT_S)

    @property
    def alarm(self) -> str:
        """What a sender did lately that no station does; empty for nothing."""
        if time.monotonic() - self._limited_s >= ALARM_S:
            return ""
        counts = [f"{self.rejected[each]} {each}" for each in ALARMING]
        return (
            "limits of a sender were reached, or it contradicts the history (since "
            f"the start: {', '.join(counts)}, "
            f"{self.forgotten} senders forgotten, "
            f"{counted(self.removed_pictures, 'picture')} removed from a full "
            "history); the log names the topics"
        )

    @property
    def refused(self) -> tuple[str, ...]:
        """The reasons for which messages were rejected lately."""
        now_s = time.monotonic()
        last = dict(self._rejected_s)  # this is another thread
        return tuple(str(why) for why, at_s in last.items() if now_s - at_s < ALARM_S)

    @property
    def queued(self) -> int:
        """Number of messages that wait to be stored."""
        return self._queue.qsize()

    def enqueue(self, delivery: Delivery) -> bool:
        """Accept a message without waiting; return false if there is no room for it."""
        # The broker's window bounds what has QoS 1; statistics must not crowd it out.
        waiting_bytes = self._queued_bytes - self._taken_bytes
        is_crowded = (
            self._queue.qsize() > QUEUE_MESSAGES // 2 or waiting_bytes > QUEUE_BYTES
        )
        if is_crowded and not delivery.receipt.qos:
            self.dropped += 1
            return False
        try:
            self._queue.put_nowait(delivery)
        except queue.Full:
            self.dropped += 1
            return False
        self._queued_bytes += len(delivery.message.payload)
        return True

    def _run(self) -> None:
        next_prune_s = self._pruned_s = time.monotonic()
        try:
            while not (self._stop.is_set() and self._queue.empty()):
                self.heartbeat_s = time.monotonic()
                if self.heartbeat_s >= next_prune_s and not self._stop.is_set():
                    # The chunk was full: more rows may be too old, so prune again
                    # immediately.
                    is_done = self._prune() == 0
                    next_prune_s = self.heartbeat_s + PRUNE_EVERY_S * is_done
                is_pruning = next_prune_s <= self.heartbeat_s
                batch = self._gather(0.0 if is_pruning else GATHER_S)
                if batch:
                    self._write(batch)
        # The top of a thread: a bug must be visible, on the page too.
        except Exception as exc:
            self.failure = f"the recorder has stopped: {exc}"
            logger.exception("recorder_died")

    def _gather(self, wait_s: float) -> list[Delivery]:
        """Return the queued messages; wait for the first one only."""
        batch: list[Delivery] = []
        try:
            batch.append(self._queue.get(timeout=max(wait_s, 0.001)))
            while len(batch) < BATCH_MESSAGES:
                batch.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        self._taken_bytes += sum(len(each.message.payload) for each in batch)
        return batch

    def _write(self, batch: list[Delivery]) -> None:
        """Parse, commit, acknowledge; without a commit nothing is acknowledged."""
        parsed: list[tuple[Delivery, Record | None]] = []
        for delivery in batch:
            record = read_message(delivery.message)
            if isinstance(record, Rejection):
                self._reject(record)
                record = None
            parsed.append((delivery, record))
        self._commit_and_acknowledge(parsed)

    def _note_batch(
        self, messages: Sequence[Message], records: Sequence[Record]
    ) -> None:
        """Call ``on_batch``; whatever it raises, the thread goes on."""
        try:
            try:
                self._on_batch(messages, records)
            except SQLAlchemyError:
                self._stop.wait(RETRY_FIRST_S)
                self._on_batch(messages, records)
        except Exception as exc:  # a bug there must not end the recorder
            self.unnoted += 1
            if not self.batch_failure:
                logger.exception("batch_not_noted")
            reason = reason_of(exc) if isinstance(exc, SQLAlchemyError) else str(exc)
            self.batch_failure = f"states and models are not kept: {reason:.300}"
        else:
            self.batch_failure = ""
        self.heartbeat_s = time.monotonic()

    def _commit_and_acknowledge(
        self, parsed: list[tuple[Delivery, Record | None]]
    ) -> None:
        """Commit and acknowledge; in halves if the whole batch does not fit."""
        records = [record for _, record in parsed if record is not None]
        try:
            committed = self._commit(records) if records else Committed()
        except _NoRoomError:
            half = len(parsed) // 2
            self._commit_and_acknowledge(parsed[:half])
            self._commit_and_acknowledge(parsed[half:])
            return
        if committed is None:
            return
        self.duplicates += committed.duplicates
        self.forgotten += committed.forgotten
        if committed.forgotten:
            self._limited_s = time.monotonic()
        for rejection in committed.rejections:
            self._reject(rejection)
        self._note_batch([delivery.message for delivery, _ in parsed], records)
        receipts = [delivery.receipt for delivery, _ in parsed]
        self._on_done(AckRequest(receipts, committed.acks))
        self._on_commit(committed)

    def _commit(self, records: list[Record]) -> Committed | None:
        """Commit, trying again until it succeeds; None if stopped before.

        Old rows are removed between attempts, which may free enough space.

        Raises:
            _NoRoomError: A part of the batch may still fit.
        """
        pauses = Backoff(RETRY_FIRST_S, RETRY_MAX_S, chance=None)
        while True:
            try:
                while self._store.is_short_of_room() and self._make_room():
                    pass
                committed = self._store.record(records)
            except SQLAlchemyError as exc:
                if not self.failure:
                    logger.error("history_unwritable reason=%s", reason_of(exc))  # noqa: TRY400
                self.failure = reason_of(exc)
                self.heartbeat_s = time.monotonic()
                if is_full(exc):
                    if self._prune() or self._make_room():
                        continue
                    if len(records) > 1:
                        raise _NoRoomError from exc
                if self._stop.wait(pauses.next_s()):
                    return None
                self.heartbeat_s = time.monotonic()
                continue
            if self.failure:
                logger.info("history_writable_again")
                self.failure = ""
            return committed

    def _prune(self) -> int:
        """Remove a chunk of rows that are too old, and return their number."""
        now_s = time.monotonic()
        ran_ms, self._pruned_s = round((now_s - self._pruned_s) * 1000), now_s
        try:
            return self._store.prune(now_ms(), ran_ms, self._kept)
        except SQLAlchemyError as exc:
            logger.warning("history_not_pruned reason=%s", reason_of(exc))
            return 0

    def _make_room(self) -> int:
        """Remove pictures from a full history, and return their number."""
        try:
            removed = self._store.make_room()
        except SQLAlchemyError as exc:
            logger.warning("history_has_no_room reason=%s", reason_of(exc))
            return 0
        if removed:
            if not self.removed_pictures:  # the rest is counted
                logger.error("history_full: the oldest pictures are removed")
            self.removed_pictures += removed
            self._limited_s = time.monotonic()
        return removed

    def _reject(self, rejection: Rejection) -> None:
        """Count a rejected message, and log the first ones of each hour."""
        now_s = time.monotonic()
        self.rejected[rejection.reason] += 1
        self._rejected_s[rejection.reason] = now_s
        if rejection.reason in ALARMING:
            self._limited_s = now_s
        if now_s >= self._forget_at_s:
            self._logged.clear()
            self._forget_at_s = now_s + FORGET_REJECTIONS_S
        self._logged[rejection.reason] += 1
        if self._logged[rejection.reason] <= LOG_REJECTIONS:
            logger.warning(
                "message_rejected reason=%s topic=%r detail=%r",
                rejection.reason,
                rejection.topic[:200],
                rejection.detail[:200],
            )
