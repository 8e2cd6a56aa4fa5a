"""Whether an event is in the history already, and with the same content.

The same id is the same event. An event with a known id and other content is an attack,
or a disk that was copied to another station: it is refused, is never acknowledged, and
is kept in the table ``conflicts`` for a person to compare.
"""

import sqlite3

from dashboard.history.acknowledged_ranges import RecordRefusedError
from dashboard.messages import Alert, Loss, Queued, RejectionReason
from models.messages import AlertEvent, VerdictEvent

MAX_CONFLICTS_PER_STATION = 64
_KNOWN = """
SELECT type, digest, thumbnail_sha256, content FROM (
    SELECT 'alert' AS type, id, digest, thumbnail_sha256, event AS content FROM alerts
    UNION ALL SELECT 'verdict', id, digest, NULL, event FROM verdicts
    UNION ALL SELECT 'loss', id, digest, NULL,
        printf('%s %d %d %d', kind, first_seq, last_seq, count) FROM losses
) WHERE id = ?
"""
_SET_DIGEST = {
    "alert": "UPDATE alerts SET digest = ? WHERE id = ?",
    "verdict": "UPDATE verdicts SET digest = ? WHERE id = ?",
    "loss": "UPDATE losses SET digest = ? WHERE id = ?",
}


class KnownEvents:
    """Compares events with those in the history, inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def has(self, record: Queued, received_ms: int) -> bool:
        """Return whether an event is in the history.

        Args:
            received_ms: Time to keep a conflict with.

        Raises:
            RecordRefusedError: One with its id and other content is; the new one was
                added to the conflicts.
        """
        event_id = record.event.id
        rows = self._db.execute(_KNOWN, (event_id,)).fetchall()
        if not rows:
            return False
        kind = _kind_of(record)
        for row in rows:
            if row[0] != kind or not _is_same(record, *row[1:]):
                self._keep(record, received_ms)
                detail = (
                    f"event {event_id} is in the history with other content: it is "
                    "kept in the table conflicts and not acknowledged"
                )
                raise RecordRefusedError(RejectionReason.CONFLICT, detail)
            if row[1] is None:
                self._db.execute(_SET_DIGEST[kind], (record.digest, event_id))
        return True

    def _keep(self, record: Queued, received_ms: int) -> None:
        """Keep a conflict; the oldest ones of its station make room."""
        topics = record.sender.topics
        station = (topics.site, topics.line, topics.station)
        added = self._db.execute(
            "INSERT INTO conflicts VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id, digest) DO NOTHING",
            (
                *(record.event.id, record.digest, *station, received_ms),
                record.event.model_dump_json(),
            ),
        )
        if added.rowcount:
            self._db.execute(
                "DELETE FROM conflicts WHERE rowid IN (SELECT rowid FROM conflicts"
                " WHERE site = ? AND line = ? AND station = ?"
                " ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
                (*station, MAX_CONFLICTS_PER_STATION),
            )


def _kind_of(record: Queued) -> str:
    if isinstance(record, Loss):
        return "loss"
    return "alert" if isinstance(record, Alert) else "verdict"


def _is_same(
    record: Queued, digest: str | None, thumbnail_sha256: str | None, content: str
) -> bool:
    """Return whether an event has the content of the stored one of its kind.

    Args:
        digest: None: a version that stored no digest has written it.
        content: The stored event as JSON; the fields of a loss record.
    """
    if isinstance(record, Alert):
        # A station may leave out a picture that it has evicted; it sends no other one.
        announced = record.event.data.thumbnail_sha256
        if None not in (announced, thumbnail_sha256) and announced != thumbnail_sha256:
            return False
    if digest is not None:
        return record.digest == digest
    if isinstance(record, Loss):
        lost = record.event.data
        fields = (lost.kind, lost.first_seq, lost.last_seq, lost.count)
        return content == " ".join(str(each) for each in fields)
    stored = type(record.event).model_validate_json(content, extra="ignore")
    return _content_of(stored) == _content_of(record.event)


def _content_of(event: AlertEvent | VerdictEvent) -> dict[str, object]:
    changing = {"replayed", "thumbnail_sha256"}
    return event.model_dump(include={"id", "time", "data"}, exclude={"data": changing})
