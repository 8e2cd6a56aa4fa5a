"""What was set on the page: every version is kept, the last one is in force."""

from sqlalchemy import BigInteger, Column, Table, Text

from dashboard.history.tables.base import BigId, metadata

versions = Table(
    "settings_versions",
    metadata,
    Column("n", BigId, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("user", Text, nullable=False),
    Column("content", Text, nullable=False),
)
