"""Notes for the next shift. Append-only: the last one of a shift is in force."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from dashboard.history.tables.base import BigId, metadata

handover_notes = Table(
    "handover_notes",
    metadata,
    Column("k", BigId, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
    Column("date", Text, nullable=False),  # of the shift's start: YYYY-MM-DD
    Column("shift", Text, nullable=False),
    Column("line", Text, nullable=False, server_default=""),  # empty: all lines
    Column("text", Text, nullable=False),
    Index("handover_notes_by_shift", "date", "shift", "line", "k"),
    sqlite_autoincrement=True,
)
