"""Notifications: kept until they are sent, at least once each.

A message that was tried keeps its rows and its key until it is sent or too old: the
receiver recognizes a message that arrives twice by the key. Of several dashboards on
one history, the one that has claimed a message sends it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from sqlalchemy import Connection, delete, distinct, func, not_, select, update

from dashboard.history.alarms import Where
from dashboard.history.database import insert_new, upsert
from dashboard.history.tables.notifications import (
    notification_cursors,
    notifications,
)

ERROR_MAX_CHARS = 300
PRUNED_AT_ONCE = 1000


class NotificationKind(StrEnum):
    """What a notification reports."""

    ALARM_RAISED = "alarm-raised"
    ALARM_CLEARED = "alarm-cleared"
    ALERTS = "alerts"
    LINE_DOWN = "line-down"
    LINE_BACK = "line-back"
    TEST = "test"


class NotifyOutcome(StrEnum):
    """How a notification ended."""

    SENT = "sent"
    OVER = "over"  # it did not hold any more when it was due
    GIVEN_UP = "given-up"  # not reached for too long, or the message was refused


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to report.

    Attributes:
        where: Site, line, station and camera; the camera is empty for a station.
        at_ms: When it happened, UTC.
        values: Numbers and texts of its kind, see ``dashboard.notify.sources``.
        is_held: It came in quiet hours, or is an escalation: when it is due, it is sent
            only if it still holds.
    """

    kind: NotificationKind
    where: Where
    at_ms: int
    values: dict[str, Any] = field(default_factory=dict)
    is_held: bool = False

    def to_text(self) -> str:
        """Return it as it is stored."""
        content = {
            "kind": self.kind,
            "where": self.where,
            "at_ms": self.at_ms,
            "values": self.values,
            "is_held": self.is_held,
        }
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return what was stored."""
        content = json.loads(text)
        site, line, station, camera = content["where"]
        return cls(
            NotificationKind(content["kind"]),
            (site, line, station, camera),
            content["at_ms"],
            content["values"],
            content["is_held"],
        )


@dataclass(frozen=True, slots=True)
class WaitingNotification:
    """A notification that is not sent yet.

    Attributes:
        n: Counts up.
        subject: What it is about; a receiver gets each subject once.
        message_key: The message that it was tried with; empty = none yet.
    """

    n: int
    subject: str
    notification: Notification
    created_ms: int
    message_key: str
    attempts: int
    next_ms: int


def cursor_of(connection: Connection, source: str) -> int | None:
    """Return how far a source was read; None = never."""
    c = notification_cursors.c
    query = select(c.n).where(c.source == source)
    found: int | None = connection.execute(query).scalar()
    return found


def set_cursor(connection: Connection, source: str, n: int) -> None:
    """Note how far a source was read."""
    row = upsert(notification_cursors, "n").values(source=source, n=n)
    connection.execute(row)


def forget_cursors(connection: Connection, sources: Sequence[str]) -> None:
    """Start some sources with what happens after the next time they are read."""
    c = notification_cursors.c
    connection.execute(delete(notification_cursors).where(c.source.in_(sources)))


def add_notification(
    connection: Connection,
    receiver: str,
    subject: str,
    notification: Notification,
    now_ms: int,
    due_ms: int,
) -> None:
    """Keep a notification, unless the receiver has one of this subject.

    Args:
        due_ms: When it may be sent.
    """
    connection.execute(
        insert_new(notifications).values(
            receiver=receiver,
            subject=subject,
            content=notification.to_text(),
            created_ms=now_ms,
            next_ms=due_ms,
        )
    )


def waiting_count(connection: Connection, receiver: str) -> int:
    """Return the number of notifications that are not sent yet."""
    c = notifications.c
    query = select(func.count()).where(c.receiver == receiver, c.done_ms == 0)
    return int(connection.execute(query).scalar_one())


def station_waiting_count(connection: Connection, receiver: str, where: Where) -> int:
    """Return the number of notifications of a station that are not sent yet."""
    c = notifications.c
    station = json.dumps(where[:3], separators=(",", ":"))[:-1]
    is_of_station = c.content.contains(f'"where":{station},', autoescape=True)
    query = select(func.count()).where(
        c.receiver == receiver, c.done_ms == 0, is_of_station
    )
    return int(connection.execute(query).scalar_one())


def messages_sent(connection: Connection, receiver: str, since_ms: int) -> int:
    """Return the number of messages that were sent since a time."""
    c = notifications.c
    query = select(func.count(distinct(c.message_key))).where(
        c.receiver == receiver,
        c.done_ms > since_ms,
        c.outcome == NotifyOutcome.SENT.value,
    )
    return int(connection.execute(query).scalar_one())


def tried_message(connection: Connection, receiver: str) -> list[WaitingNotification]:
    """Return the message that was tried and is not sent yet, if there is one."""
    c = notifications.c
    return _waiting(connection, c.receiver == receiver, c.message_key != "")


def due_notifications(
    connection: Connection, receiver: str, now_ms: int, limit: int
) -> list[WaitingNotification]:
    """Return what may be sent now, in the order in which it happened."""
    c = notifications.c
    is_new = (c.message_key == "") & (c.next_ms <= now_ms)
    return _waiting(connection, c.receiver == receiver, is_new, limit=limit)


def outcome_of(connection: Connection, receiver: str, subject: str) -> str | None:
    """Return how a notification ended; empty = not yet, None = there was none."""
    c = notifications.c
    query = select(c.outcome).where(c.receiver == receiver, c.subject == subject)
    found: str | None = connection.execute(query).scalar()
    return found


def last_sent(
    connection: Connection, receiver: str, start: str, before_n: int
) -> Notification | None:
    """Return the last notification that was sent of the subjects with a start.

    Args:
        start: It has the characters a-z, 0-9, ``-``, ``/`` and ``:`` only.
    """
    c = notifications.c
    query = (
        select(c.content)
        .where(c.receiver == receiver, c.subject.startswith(start), c.n < before_n)
        .where(c.outcome == NotifyOutcome.SENT.value)
        .order_by(c.n.desc())
        .limit(1)
    )
    found = connection.execute(query).scalar()
    return Notification.from_text(found) if found is not None else None


def claim_message(
    connection: Connection, ns: Sequence[int], message_key: str, next_ms: int
) -> None:
    """Note that a message is being sent.

    Args:
        next_ms: When another dashboard may try it, should this one end meanwhile.
    """
    c = notifications.c
    connection.execute(
        update(notifications)
        .where(c.n.in_(ns))
        .values(message_key=message_key, attempts=c.attempts + 1, next_ms=next_ms)
    )


def end_notifications(
    connection: Connection, ns: Sequence[int], outcome: NotifyOutcome, now_ms: int
) -> None:
    """Note that notifications were sent, or will not be."""
    c = notifications.c
    connection.execute(
        update(notifications)
        .where(c.n.in_(ns))
        .values(done_ms=now_ms, outcome=outcome.value)
    )


def note_failure(
    connection: Connection, ns: Sequence[int], error: str, next_ms: int
) -> None:
    """Note why a message could not be sent, and when it is tried again."""
    c = notifications.c
    values = {"error": error[:ERROR_MAX_CHARS], "next_ms": next_ms}
    connection.execute(update(notifications).where(c.n.in_(ns)).values(**values))


def prune_notifications(
    connection: Connection, oldest_ms: int, oldest_start_ms: int
) -> None:
    """Remove some that ended before a time, or whose receiver is not configured now.

    Args:
        oldest_start_ms: The time for alarms and states that were sent: whether their
            end is sent too depends on them.
    """
    c = notifications.c
    is_start = (c.outcome == NotifyOutcome.SENT.value) & (
        c.subject.startswith("alarm:") | c.subject.startswith("line:")
    )
    is_old = (
        (c.created_ms < oldest_ms)
        & (c.done_ms < oldest_ms)
        & (not_(is_start) | (c.done_ms < oldest_start_ms))
    )
    old = select(c.n).where(is_old).limit(PRUNED_AT_ONCE).scalar_subquery()
    connection.execute(delete(notifications).where(c.n.in_(old)))


def _waiting(
    connection: Connection,
    *conditions: Any,  # noqa: ANN401 - of SQLAlchemy
    limit: int = 1000,
) -> list[WaitingNotification]:
    c = notifications.c
    query = (
        select(notifications)
        .where(c.done_ms == 0, *conditions)
        .order_by(c.n)
        .limit(limit)
    )
    return [
        WaitingNotification(
            row["n"],
            row["subject"],
            Notification.from_text(row["content"]),
            row["created_ms"],
            row["message_key"],
            row["attempts"],
            row["next_ms"],
        )
        for row in connection.execute(query).mappings()
    ]
