"""What goes first when the outbox is full, and the record that it went.

Order: what was delivered anyway, then images, verdicts, and alerts last; within each
the oldest that a broker has confirmed, then the oldest. Nothing goes in silence: each
kind that was shed leaves a loss record, which is itself queued and delivered.
"""

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from edge.delivery.events import EventKind, NewEvent
from edge.delivery.outbox_file import OutboxFile
from models.messages import LossData, StationTopics

FULL_SHARE = 0.80  # above this, room is made
ROOMY_SHARE = 0.75  # down to this
ROWS_AT_ONCE = 20
IMAGE = "image"
_OLDEST_SENT_FIRST = "ORDER BY sent DESC, seq LIMIT ?"


@dataclass(slots=True)
class Shed:
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
    file: OutboxFile, *, forget_sent: bool, down_to_share: float = ROOMY_SHARE
) -> list[Shed]:
    """Shed until enough is free, inside the caller's transaction.

    Args:
        file: The outbox.
        forget_sent: What a broker has confirmed counts as delivered: it goes first,
            and is no loss.
        down_to_share: Share of the largest size, 0..1, to come down to.

    Returns:
        What was lost, one entry for each kind.

    Raises:
        sqlite3.Error: Not even this can be written.
    """
    if forget_sent:
        while file.used_share > down_to_share and _forget(file.connection):
            pass
    shed: dict[str, Shed] = {}
    for kind in (IMAGE, EventKind.VERDICT.value, EventKind.ALERT.value):
        while file.used_share > down_to_share:
            rows = _shed_some(file.connection, kind)
            if not rows:
                break
            _add(shed, kind, rows)
    return list(shed.values())


def _forget(connection: sqlite3.Connection) -> int:
    """Delete the oldest confirmed events, loss records too: they were told."""
    return connection.execute(
        "DELETE FROM event WHERE seq IN"
        " (SELECT seq FROM event WHERE sent = 1 ORDER BY seq LIMIT ?)",
        (ROWS_AT_ONCE,),
    ).rowcount


def _shed_some(connection: sqlite3.Connection, kind: str) -> list[tuple[int, bytes]]:
    """Shed some of a kind and return position and content of each."""
    which, parameters = "kind = ?", [kind]
    if kind == IMAGE:
        which, parameters = "image IS NOT NULL", []
    rows: list[tuple[int, bytes]] = connection.execute(
        f"SELECT seq, data FROM event WHERE {which} {_OLDEST_SENT_FIRST}",  # noqa: S608 - our own words
        (*parameters, ROWS_AT_ONCE),
    ).fetchall()
    change = (
        "UPDATE event SET image = NULL WHERE seq = ?"
        if kind == IMAGE
        else "DELETE FROM event WHERE seq = ?"
    )
    connection.executemany(change, ((seq,) for seq, _ in rows))
    return rows


def _add(shed: dict[str, Shed], kind: str, rows: list[tuple[int, bytes]]) -> None:
    """Count rows into the entry of their kind."""
    seqs = [seq for seq, _ in rows]
    entry = shed.setdefault(kind, Shed(kind, seqs[0], seqs[0], 0, rows[0][1]))
    entry.first_seq = min(entry.first_seq, *seqs)
    entry.last_seq = max(entry.last_seq, *seqs)
    entry.count += len(rows)
