"""What people do with alerts: reviews and shelves. Append-only, except for the states.

``reviews`` and ``shelves`` keep every entry; reviews go with their alert.
``alert_states`` repeats the latest ones of each reviewed alert, for filters and joins;
it is written in the same transaction.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from dashboard.history.tables.base import (
    BigId,
    camera_columns,
    metadata,
    text_column,
)

reviews = Table(
    "reviews",
    metadata,
    Column("k", BigId, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("kind", Text, nullable=False),  # dashboard.history.reviews.ReviewKind
    Column("verdict", Text),  # dashboard.history.reviews.OperatorVerdict
    Column("label", Text),  # the class that the operator names
    Column("text", Text),  # of a comment
    Index("reviews_by_event", "event_id", "k"),
    sqlite_autoincrement=True,
)
alert_states = Table(
    "alert_states",
    metadata,
    Column("n", BigInteger, primary_key=True, autoincrement=False),  # alerts.n
    Column("event_id", Text, nullable=False, unique=True),
    Column("happened_ms", BigInteger, nullable=False),
    Column("acknowledged_ms", BigInteger),  # null: not acknowledged
    Column("acknowledged_by", Text),
    Column("verdict", Text),  # null: none, or it was withdrawn
    Column("verdict_label", Text),
    Column("judged_ms", BigInteger),
    Column("judged_by", Text),
    Column("verdicts", Integer, nullable=False, server_default="0"),
    Column("comments", Integer, nullable=False, server_default="0"),
    Index("alert_states_by_verdict", "verdict", "happened_ms", "n"),
)
# An empty name stands for every site, line, station, camera or class.
shelves = Table(
    "shelves",
    metadata,
    Column("k", BigId, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("creator", Text, nullable=False),
    Column("reason", Text, nullable=False),
    *camera_columns(""),
    text_column("label", ""),
    Index("shelves_by_end", "until_ms"),
    sqlite_autoincrement=True,
)
shelf_ends = Table(
    "shelf_ends",
    metadata,
    Column("shelf", BigInteger, primary_key=True, autoincrement=False),  # shelves.k
    Column("at_ms", BigInteger, nullable=False),
    Column("user", Text, nullable=False),
)
