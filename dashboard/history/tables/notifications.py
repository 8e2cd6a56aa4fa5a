"""What is to be sent to people, and how far the sources were read."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from dashboard.history.tables.base import BigId, metadata


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


# One row for each receiver and subject. Rows with the same message_key are one message.
notifications = Table(
    "notifications",
    metadata,
    Column("n", BigId, primary_key=True),
    _text("receiver"),
    _text("subject"),  # for example alarm:17:raised
    _text("content"),  # a Notice, JSON
    _number("created_ms"),
    _text("message_key"),  # empty: not tried yet
    _number("attempts"),
    _number("next_ms"),
    _number("done_ms"),  # 0: it waits
    _text("outcome"),  # dashboard.history.notifications.Outcome
    _text("error"),
    Index("notifications_by_subject", "receiver", "subject", unique=True),
    Index("notifications_by_state", "receiver", "done_ms", "n"),
    Index("notifications_by_age", "created_ms"),
    sqlite_autoincrement=True,
)
notification_cursors = Table(
    "notification_cursors",
    metadata,
    Column("source", Text, primary_key=True),
    _number("n"),
)
