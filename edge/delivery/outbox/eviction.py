"""Deletes the least important events when the outbox is full, and records the loss.

``EVICTION_ORDER`` is the order, on the disk and in memory. Within each kind, events
that a broker has confirmed are evicted first, then the others, each oldest first. Loss
records are never evicted, and statistics are never queued. For each evicted kind a loss
record is written, which is itself queued and delivered.
"""

import json
import sqlite3
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from edge.delivery.outbox.database import OutboxDatabase
from edge.delivery.outbox.events import EventKind, NewEvent, new_nonce
from models.messages import LossData
from models.topics import StationTopics

IMAGE: Final = "image"
# Least important first: alerts matter most, and most of an alert's information remains
# without its picture.
EVICTION_ORDER: Final = (IMAGE, EventKind.VERDICT.value, EventKind.ALERT.value)
FULL_SHARE = 0.80  # of the largest size: above this, events are evicted
ROOMY_SHARE = 0.75  # of the largest size: eviction stops here
ROWS_AT_ONCE = 20  # less in a small file, where so many pictures are much of it
PAGES_PER_ROW_AT_ONCE = 2000
# Takes one second on a slow disk. New events fit into the remaining 20 % meanwhile.
ROWS_PER_COMMIT = 5000


@dataclass(slots=True)
class Eviction:
    """The evicted events of one kind.

    Attributes:
        kind: One of ``EVICTION_ORDER``.
        first_seq: Lowest position; 0: evicted in memory, before it had one.
        data: Content of one of them, JSON; it names the station.
    """

    kind: str
    first_seq: int
    last_seq: int
    count: int
    data: bytes

    def record(self, now: datetime) -> NewEvent:
        """Return the loss record.

        Args:
            now: Wall clock, UTC.
        """
        sender = json.loads(self.data)
        topics = StationTopics(sender["site"], sender["line"], sender["station"])
        content = LossData(
            nonce=new_nonce(),
            site=topics.site,
            line=topics.line,
            station=topics.station,
            boot_id=sender["boot_id"],
            kind=self.kind,
            first_seq=self.first_seq,
            last_seq=self.last_seq,
            count=self.count,
        )
        return NewEvent(
            EventKind.LOSS,
            topics.loss,
            now.isoformat(),
            content.model_dump_json().encode(),
        )


def make_room(
    database: OutboxDatabase,
    *,
    forget_sent: bool,
    down_to_share: float,
    max_rows: int | None = None,
) -> list[Eviction]:
    """Evict until enough is free, inside the caller's transaction.

    Each kind is read once, in the order of positions and in small steps, so that a long
    backlog does not block the only thread that writes.

    Args:
        forget_sent: Events that a broker has confirmed count as delivered: they are
            deleted first, and are no loss.
        down_to_share: Share of the largest size, 0..1, at which eviction stops.
        max_rows: Most events to evict now; None = no limit.

    Returns:
        The lost events, one entry for each kind.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    left = sys.maxsize if max_rows is None else max_rows
    at_once = max(1, min(ROWS_AT_ONCE, database.max_pages // PAGES_PER_ROW_AT_ONCE))
    evicted: dict[str, Eviction] = {}
    for step in _steps(forget_sent=forget_sent):
        after = 0
        while left > 0 and database.used_share > down_to_share:
            limit = min(left, at_once)
            rows = _evict_some(database.connection, step, after, limit)
            if not rows:
                break
            after = rows[-1][0]
            left -= len(rows)
            if step.kind:
                _count(evicted, step.kind, rows)
    return list(evicted.values())


@dataclass(frozen=True, slots=True)
class _Step:
    """Which events are evicted next.

    Attributes:
        kind: One of ``EVICTION_ORDER``; empty: events of any kind, which are no loss.
        was_sent: Select events that a broker has confirmed; false = unconfirmed ones.
    """

    kind: str
    was_sent: bool

    @property
    def condition(self) -> str:
        """The SQL condition for the kind."""
        match self.kind:
            case "":  # loss records too: they were delivered
                return "1"
            case "image":
                return "image IS NOT NULL"
            case kind:
                return f"kind = '{kind}'"


def _steps(*, forget_sent: bool) -> list[_Step]:
    losses = [
        _Step(kind, was_sent) for kind in EVICTION_ORDER for was_sent in (True, False)
    ]
    return [_Step("", was_sent=True), *losses] if forget_sent else losses


def _evict_some(
    connection: sqlite3.Connection, step: _Step, after: int, limit: int
) -> list[tuple[int, bytes]]:
    """Evict some events beyond a position; return position and content of each."""
    rows: list[tuple[int, bytes]] = connection.execute(
        "SELECT seq, data FROM event"  # noqa: S608 - our own condition
        f" WHERE seq > ? AND sent = ? AND {step.condition} ORDER BY seq LIMIT ?",
        (after, int(step.was_sent), limit),
    ).fetchall()
    change = (
        "UPDATE event SET image = NULL WHERE seq = ?"
        if step.kind == IMAGE
        else "DELETE FROM event WHERE seq = ?"
    )
    connection.executemany(change, ((seq,) for seq, _ in rows))
    return rows


def _count(
    evicted: dict[str, Eviction], kind: str, rows: list[tuple[int, bytes]]
) -> None:
    seqs = [seq for seq, _ in rows]
    entry = evicted.setdefault(kind, Eviction(kind, seqs[0], seqs[0], 0, rows[0][1]))
    entry.first_seq = min(entry.first_seq, *seqs)
    entry.last_seq = max(entry.last_seq, *seqs)
    entry.count += len(rows)
