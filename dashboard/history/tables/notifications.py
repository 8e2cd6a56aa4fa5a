"""What is to be sent to people, and how far the sources were read."""

from sqlalchemy import Column, Index, Table, Text

from dashboard.history.tables.base import (
    BigId,
    integer_column,
    metadata,
    text_column,
)

# One row for each receiver and subject. Rows with the same message_key are one message.
notifications = Table(
    "notifications",
    metadata,
    Column("n", BigId, primary_key=True),
    text_column("receiver", ""),
    text_column("subject", ""),  # for example alarm:17:raised
    text_column("content", ""),  # a Notice, JSON
    integer_column("created_ms", "0"),
    text_column("message_key", ""),  # empty: not tried yet
    integer_column("attempts", "0"),
    integer_column("next_ms", "0"),
    integer_column("done_ms", "0"),  # 0: it waits
    text_column("outcome", ""),  # dashboard.history.notifications.Outcome
    text_column("error", ""),
    Index("notifications_by_subject", "receiver", "subject", unique=True),
    Index("notifications_by_state", "receiver", "done_ms", "n"),
    Index("notifications_by_age", "created_ms"),
    sqlite_autoincrement=True,
)
notification_cursors = Table(
    "notification_cursors",
    metadata,
    Column("source", Text, primary_key=True),
    integer_column("n", "0"),
)
