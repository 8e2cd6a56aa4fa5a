"""What goes first when the outbox is full, and the record that it went.

Order: what was delivered anyway, then images, verdicts, and alerts last; within each
the oldest that a broker has confirmed, then the oldest. Nothing goes in silence: each
kind that was shed leaves a loss record, which is itself queued and delivered.
"""

import json
import sqlite3
import sys
from dataclasses import dataclass
from datetime import datetime

from edge.delivery.outbox.events import EventKind, NewEvent
from edge.delivery.outbox.outbox_file import OutboxFile
from models.messages import LossData
from models.topics import StationTopics

FULL_SHARE = 0.80  # above this, room is made
ROOMY_SHARE = 0.75  # down to this
ROWS_AT_ONCE = 20
ROWS_PER_COMMIT = 5000  # a second on a slow disk; the last fifth has room meanwhile
IMAGE = "image"


@dataclass(slots=True)
class Eviction:
    """What was shed of one kind.

    Attributes:
        kind: ``image``, ``verdict`` or ``alert``.
        first_seq: Lowest position.
        last_seq: Highest position.
        count: How many.
        data: Content of one of them; it says who the station is.
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
    file: OutboxFile,
    *,
    forget_sent: bool,
    down_to_share: float = ROOMY_SHARE,
    max_rows: int | None = None,
) -> list[Eviction]:
    """Shed until enough is free, inside the caller's transaction.

    Each kind is gone through once, in the order of positions, however many steps that
    takes: the one thread that writes must not stand still over a long backlog.

    Args:
        file: The outbox.
        forget_sent: What a broker has confirmed counts as delivered: it goes first,
            and is no loss.
        down_to_share: Share of the largest size, 0..1, to come down to.
        max_rows: Most events to shed now; none = as many as it takes.

    Returns:
        What was lost, one entry for each kind.

    Raises:
        sqlite3.Error: Not even this can be written.
    """
    left = sys.maxsize if max_rows is None else max_rows
    shed: dict[str, Eviction] = {}
    for victims in _order(forget_sent=forget_sent):
        after = 0
        while left > 0 and file.used_share > down_to_share:
            rows = _shed_some(file.connection, victims, after, min(left, ROWS_AT_ONCE))
            if not rows:
                break
            after = rows[-1][0]
            left -= len(rows)
            if victims.kind:
                _add(shed, victims.kind, rows)
    return list(shed.values())


@dataclass(frozen=True, slots=True)
class _Victims:
    """What goes next.

    Attributes:
        kind: ``image``, ``verdict`` or ``alert``; empty: any, and it is no loss.
        was_sent: Those that a broker has confirmed, else those that none has.
    """

    kind: str
    was_sent: bool

    @property
    def condition(self) -> str:
        """What tells them, in SQL."""
        match self.kind:
            case "":  # loss records too: they were told
                return "1"
            case "image":
                return "image IS NOT NULL"
            case kind:
                return f"kind = '{kind}'"


def _order(*, forget_sent: bool) -> list[_Victims]:
    """Return what goes first, and what then."""
    kinds = (IMAGE, EventKind.VERDICT.value, EventKind.ALERT.value)
    losses = [_Victims(kind, was_sent) for kind in kinds for was_sent in (True, False)]
    return [_Victims("", was_sent=True), *losses] if forget_sent else losses


def _shed_some(
    connection: sqlite3.Connection, victims: _Victims, after: int, limit: int
) -> list[tuple[int, bytes]]:
    """Shed some beyond a position and return position and content of each."""
    rows: list[tuple[int, bytes]] = connection.execute(
        "SELECT seq, data FROM event"  # noqa: S608 - our own words
        f" WHERE seq > ? AND sent = ? AND {victims.condition} ORDER BY seq LIMIT ?",
        (after, int(victims.was_sent), limit),
    ).fetchall()
    change = (
        "UPDATE event SET image = NULL WHERE seq = ?"
        if victims.kind == IMAGE
        else "DELETE FROM event WHERE seq = ?"
    )
    connection.executemany(change, ((seq,) for seq, _ in rows))
    return rows


def _add(shed: dict[str, Eviction], kind: str, rows: list[tuple[int, bytes]]) -> None:
    """Count rows into the entry of their kind."""
    seqs = [seq for seq, _ in rows]
    entry = shed.setdefault(kind, Eviction(kind, seqs[0], seqs[0], 0, rows[0][1]))
    entry.first_seq = min(entry.first_seq, *seqs)
    entry.last_seq = max(entry.last_seq, *seqs)
    entry.count += len(rows)
