"""How far the clocks of line PCs are from the collector's, see ``line_clocks``."""

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text

from dashboard.history.tables.base import metadata, station_columns

# One row for each start of a daemon, of the last ones of each station.
line_clocks = Table(
    "line_clocks",
    metadata,
    *station_columns(),
    Column("boot_id", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),  # when it was last measured
    Column("monotonic_ms", BigInteger),  # to add to the monotonic clock; NULL: unknown
    Column("wall_ms", BigInteger),  # to add to a wall clock that is not synchronized
    PrimaryKeyConstraint("site", "line", "station", "boot_id"),
)
