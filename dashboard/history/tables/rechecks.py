"""Parts that people checked again by hand: what the line let pass."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from dashboard.history.tables.base import BigId, camera_columns, metadata

# An empty name stands for every site, line, station or camera.
rechecks = Table(
    "rechecks",
    metadata,
    Column("k", BigId, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
    *camera_columns(""),
    Column("checked", Integer, nullable=False),  # parts that had passed as good
    Column("defective", Integer, nullable=False),  # of these
    Column("text", Text, nullable=False, server_default=""),
    Index("rechecks_by_time", "at_ms"),
    sqlite_autoincrement=True,
)
