"""The audit trail: who changed what, each entry chained to the one before it."""

from sqlalchemy import BigInteger, Column, Table, Text

from dashboard.history.tables.base import BigId, metadata

entries = Table(
    "audit",
    metadata,
    Column("n", BigId, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("user", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("digest", Text, nullable=False),
)
