"""Pictures that were fetched from line PCs: a cache, by the sha256 of the file."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from dashboard.history.tables.base import metadata

full_pictures = Table(
    "full_pictures",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),
    Column("stored_ms", BigInteger, nullable=False),
    Column("jpeg", LargeBinary, nullable=False),  # of a heat map: its PNG
    Index("full_pictures_by_use", "used_ms"),
)
full_picture_of = Table(
    "full_picture_of",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Index("full_picture_of_by_picture", "sha256"),
)
# Of a heat map; its own table, because earlier versions take every row of the other one
# for a full picture.
heat_map_of = Table(
    "heat_map_of",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Index("heat_map_of_by_picture", "sha256"),
)
